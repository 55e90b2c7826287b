"""How a service reaches the services that it calls: the token and the certificate that it shows them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, SecretStr

from xenolith.serving.settings import ProcessSettings, StackVariable, file_content

__all__ = ["HopSettings", "connection_of"]


class HopSettings(ProcessSettings):
    """Credentials and certificates of a service that is itself a caller; to be inherited by its settings."""

    services_token: Annotated[SecretStr | None, StackVariable("XENOLITH_TOKEN")] = Field(
        None, description="bearer token for the services that it calls; prefer --services-token-file"
    )
    services_token_file: Annotated[Path | None, StackVariable("XENOLITH_TOKEN_FILE")] = Field(
        None, description="file with the bearer token for the services that it calls"
    )
    services_tls_ca: Annotated[Path | None, StackVariable("XENOLITH_TLS_CA")] = Field(
        None, description="authority (PEM) to trust; reach the services that it calls over TLS"
    )
    services_tls_cert: Annotated[Path | None, StackVariable("XENOLITH_TLS_CERT")] = Field(
        None, description="certificate (PEM) to show them, with --services-tls-ca and --services-tls-key"
    )
    services_tls_key: Annotated[Path | None, StackVariable("XENOLITH_TLS_KEY")] = Field(
        None, description="its private key (PEM)"
    )

    services_keepalive_s: float | None = Field(
        None,
        ge=0,
        description="seconds without a word after which a service that it calls is asked for a sign of life;"
        " 0: never; default: 30",
    )

    def connection(self) -> dict[str, Any]:
        """Return the options of a client's connection, as `xenolith.client.Options` takes them.

        Raises
        ------
        InvalidArgumentError
            A file cannot be read.
        """
        files = {"token_file": self.services_token_file}
        if self.services_tls_ca:
            files["tls_ca"] = self.services_tls_ca
            if self.services_tls_cert and self.services_tls_key:
                files |= {"tls_cert": self.services_tls_cert, "tls_key": self.services_tls_key}
        options = connection_of(files, named="services_")
        if self.services_token and not self.services_token_file:
            options["token"] = self.services_token.get_secret_value()
        if self.services_keepalive_s is not None:
            options["keepalive_s"] = self.services_keepalive_s
        return options


def connection_of(files: Mapping[str, Path | None], *, named: str) -> dict[str, Any]:
    """Return the options of a client's connection, as `xenolith.client.Options` takes them, from its files.

    Parameters
    ----------
    files
        By ``token_file``, whose content becomes the token, ``tls_ca``, ``tls_cert`` and ``tls_key``; None is
        left out.
    named
        What their settings' names begin with, for errors.

    Raises
    ------
    InvalidArgumentError
        A file cannot be read; names the setting.
    """
    options: dict[str, Any] = {}
    for name, file in files.items():
        if file is None:
            continue
        content = file_content(file, f"{named}{name}")
        if name == "token_file":
            options["token"] = content.decode(errors="replace").strip()
        else:
            options[name] = file
    return options
