import argparse
from pathlib import Path

import pytest

from xenolith.errors import InvalidArgumentError
from xenolith.serving import ServingSettings, add_arguments, settings_from


def parsed(*arguments: str) -> ServingSettings:
    return settings_from(add_arguments(argparse.ArgumentParser(), port=50052).parse_args(list(arguments)))


def test_arguments_go_before_environment_before_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (parsed().port, parsed().grace_s) == (50052, 20)
    monkeypatch.setenv("XENOLITH_PORT", "7")
    monkeypatch.setenv("XENOLITH_GRACE_S", "3")
    assert (parsed().port, parsed().grace_s) == (7, 3)
    assert (parsed("--port", "0").port, parsed("--grace-s", "0").grace_s) == (0, 0)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--port", "70000"], "port"),
        (["--max-in-flight", "none"], "max_in_flight"),
        (["--tls-cert", "a.pem"], "tls_cert and tls_key go together"),
        (["--token", "a", "--token-file", "b"], "not both"),
    ],
)
def test_wrong_values_are_named(arguments: list[str], problem: str) -> None:
    with pytest.raises(InvalidArgumentError, match=problem):
        parsed(*arguments)


def test_a_file_of_secrets_stands_in_for_a_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "XENOLITH_TOKEN").write_text("s3cret\n")
    monkeypatch.setenv("XENOLITH_SECRETS_DIR", str(tmp_path))
    assert parsed().bearer_token() == "s3cret"
    monkeypatch.setenv("XENOLITH_TOKEN", "another")
    assert parsed().bearer_token() == "another"
    monkeypatch.setenv("XENOLITH_SECRETS_DIR", str(tmp_path / "nowhere"))
    with pytest.raises(InvalidArgumentError, match=r"XENOLITH_SECRETS_DIR names .*nowhere"):
        parsed()


def test_what_code_constructs_looks_at_no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XENOLITH_TOKEN", "s3cret")
    assert ServingSettings(grace_s=1).bearer_token() is None


def test_help_names_every_option_with_its_default_and_its_variable() -> None:
    text = " ".join(add_arguments(argparse.ArgumentParser(), port=50052).format_help().split())
    assert "XENOLITH_<NAME>" in text
    assert "--port PORT port to listen on; 0 for any free one (default: 50052)" in text
    for name in ServingSettings.model_fields:
        assert f"--{name.replace('_', '-')} " in text


def test_the_token_comes_from_its_file_and_is_not_shown(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cret\n")
    settings = parsed("--token-file", str(tmp_path / "token"))
    assert settings.bearer_token() == "s3cret"
    assert "hidden" not in repr(parsed("--token", "hidden"))
