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


def test_the_token_comes_from_its_file_and_is_not_shown(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cret\n")
    settings = parsed("--token-file", str(tmp_path / "token"))
    assert settings.bearer_token() == "s3cret"
    assert "hidden" not in repr(parsed("--token", "hidden"))
