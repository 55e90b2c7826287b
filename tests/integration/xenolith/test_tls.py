"""TLS with real certificates, made by openssl for the occasion."""

import subprocess
from pathlib import Path

import pytest

from xenolith import Client
from xenolith.errors import UnreachableError
from xenolith.serving import ServingSettings, threaded_server


def openssl(folder: Path, *arguments: str) -> None:
    try:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("no openssl on this machine to make certificates with")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    at = tmp_path_factory.mktemp("tls")
    (at / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1")
    new = ["req", "-newkey", "rsa:2048", "-nodes"]
    own = "-x509 -subj /CN=authority -keyout ca.key -out ca.pem"
    openssl(at, *new, *own.split())
    for name in ("server", "client"):
        openssl(at, *new, *f"-subj /CN={name} -keyout {name}.key -out {name}.csr".split())
        signed = (
            f"-in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out {name}.pem"
        )
        openssl(at, "x509", "-req", *signed.split())
    return at


@pytest.mark.parametrize("mutual", [False, True])
def test_calls_go_over_tls(certificates: Path, echo: type, mutual: bool) -> None:
    at = certificates
    authority = at / "ca.pem" if mutual else None
    settings = ServingSettings(
        tls_cert=at / "server.pem", tls_key=at / "server.key", tls_client_ca=authority, grace_s=1
    )
    shown = {"tls_cert": at / "client.pem", "tls_key": at / "client.key"} if mutual else {}
    with threaded_server([echo()], settings) as running:
        with Client.connect(oracle=running.address, tls_ca=at / "ca.pem", **shown) as client:
            client.wait_ready(10)
            assert client.oracle.describe().service_version
        without: list[tuple[dict[str, object], str]] = [
            ({}, "may want TLS"),
            ({"tls": True}, "certificate of the oracle at .* is not trusted: give the authority"),
        ] + ([({"tls_ca": at / "ca.pem"}, "or a client's certificate")] if mutual else [])
        for options, advice in without:
            with (
                Client.connect(oracle=running.address, attempts=1, **options) as stranger,
                pytest.raises(UnreachableError, match=advice),
            ):
                stranger.oracle.describe(timeout_s=5)


def test_tls_toward_plain_text_is_said_so(echo: type) -> None:
    with (
        threaded_server([echo()], ServingSettings(grace_s=1)) as running,
        Client.connect(oracle=running.address, attempts=1, tls=True) as client,
        pytest.raises(UnreachableError, match="speaks plain text, not TLS"),
    ):
        client.oracle.describe(timeout_s=5)
