"""How a service reaches the services that it calls: the token and the certificate that it shows them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, SecretStr

from xenolith.serving.settings import ProcessSettings, StackVariable, file_content

__all__ = ["HopSettings"]


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

    def connection(self) -> dict[str, Any]:
        """Return the options of a client's connection, as `xenolith.client.Options` takes them.

        Raises
        ------
        InvalidArgumentError
            A file cannot be read.
        """
        options: dict[str, Any] = {}
        if self.services_token_file:
            text = file_content(self.services_token_file, "services_token_file").decode(errors="replace")
            options["token"] = text.strip()
        elif self.services_token:
            options["token"] = self.services_token.get_secret_value()
        if self.services_tls_ca:
            options["tls_ca"] = self.services_tls_ca
            if self.services_tls_cert and self.services_tls_key:
                options |= {"tls_cert": self.services_tls_cert, "tls_key": self.services_tls_key}
            for name in ("tls_ca", "tls_cert", "tls_key"):
                if name in options:
                    file_content(options[name], f"services_{name}")
        return options
