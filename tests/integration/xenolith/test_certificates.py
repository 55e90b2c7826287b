"""Mutual TLS with the certificates that `xenolith certificates` makes, by three settings on every hop."""

import argparse
import stat
from pathlib import Path

import pytest

from generator_svc.cleanup.relax import OracleRelaxer
from generator_svc.service.settings import GeneratorSettings
from trainer_svc.settings import TrainerSettings
from xenolith import Client
from xenolith.cli import main
from xenolith.cli.services import add_service_arguments, options_of
from xenolith.client import Options
from xenolith.client.transport.connection import connection_from_environment
from xenolith.errors import InvalidArgumentError
from xenolith.serving import ServingSettings, add_arguments, healthcheck, settings_from, threaded_server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    assert main(["certificates", str(tmp_path / "tls"), "--name", "oracle"]) == 0
    return tmp_path / "tls"


def variables(monkeypatch: pytest.MonkeyPatch, folder: Path, owner: str) -> None:
    for name, file in (("CA", "ca.pem"), ("CERT", f"{owner}.pem"), ("KEY", f"{owner}.key")):
        monkeypatch.setenv(f"XENOLITH_TLS_{name}", str(folder / file))


def test_keys_are_private_and_no_file_is_overwritten(folder: Path, capsys: pytest.CaptureFixture) -> None:
    for key in folder.glob("*.key"):
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert main(["certificates", str(folder)]) == 1
    assert "ca.pem" in capsys.readouterr().err


def test_three_variables_secure_every_hop(
    folder: Path, echo: type, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    variables(monkeypatch, folder, "oracle")
    settings = settings_from(add_arguments(argparse.ArgumentParser(), port=0).parse_args(["--grace-s", "1"]))
    with threaded_server([echo()], settings) as running:

        def answers(options: Options) -> bool:
            with Client.connect(oracle=running.address, options=options) as client:
                return bool(client.oracle.describe(timeout_s=20).service_version)

        # The health check of the container itself.
        assert healthcheck.main([running.address]) == 0
        # Trainer and generator, as clients of the oracle.
        for owner, kind in (("trainer", TrainerSettings), ("generator", GeneratorSettings)):
            variables(monkeypatch, folder, owner)
            parser = argparse.ArgumentParser()
            kind.add_options(parser, owner)
            read = kind.read(parser.parse_args([]))
            assert answers(Options(**read.connection()))
        OracleRelaxer(running.address, read.connection()).close()
        # The terminal program, the embedded stack, and a client whose files are given.
        variables(monkeypatch, folder, "client")
        parser = argparse.ArgumentParser()
        add_service_arguments(parser, "oracle")
        assert answers(options_of(parser.parse_args([])))
        assert answers(Options(**connection_from_environment()))
        for name in ("CA", "CERT", "KEY"):
            monkeypatch.delenv(f"XENOLITH_TLS_{name}")
        given = [
            f"--tls-{end}={folder / name}" for end, name in (("cert", "client.pem"), ("key", "client.key"))
        ]
        assert answers(options_of(parser.parse_args([f"--tls-ca={folder / 'ca.pem'}", *given])))
        # Without a certificate nobody is let in.
        assert healthcheck.main([running.address, f"--tls-ca={folder / 'ca.pem'}", "--timeout-s=2"]) == 1
    assert "SERVING" in capsys.readouterr().out


def test_tokens_of_a_hop_come_from_its_file_or_the_stack_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B20: the token that services ask for is the one that the trainer shows."""
    monkeypatch.setenv("XENOLITH_TOKEN", "of the stack")
    parser = argparse.ArgumentParser()
    TrainerSettings.add_options(parser, "trainer")
    assert TrainerSettings.read(parser.parse_args([])).connection() == {"token": "of the stack"}
    assert connection_from_environment() == {"token": "of the stack"}
    (tmp_path / "token").write_text("of the file\n")
    given = parser.parse_args(["--services-token-file", str(tmp_path / "token")])
    assert TrainerSettings.read(given).connection() == {"token": "of the file"}


@pytest.mark.parametrize("missing", ["tls_cert", "tls_key", "tls_client_ca"])
def test_a_missing_file_or_a_key_of_another_is_named_at_start(folder: Path, missing: str) -> None:
    """B18."""
    files = {
        "tls_cert": folder / "oracle.pem",
        "tls_key": folder / "oracle.key",
        "tls_client_ca": folder / "ca.pem",
    }
    with pytest.raises(InvalidArgumentError, match=f"{missing}: .*nowhere cannot be read"):
        ServingSettings(**files | {missing: folder / "nowhere"}).credentials()
    with pytest.raises(InvalidArgumentError, match="is not the key of"):
        ServingSettings(**files | {"tls_key": folder / "trainer.key"}).credentials()
