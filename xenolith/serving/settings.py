"""Settings of a service process: from arguments, else from the environment, else defaults."""

import argparse
import os
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator

from xenolith.errors import InvalidArgumentError

__all__ = ["ServingSettings", "add_arguments", "settings_from"]

PREFIX = "XENOLITH_"


class ServingSettings(BaseModel):
    """How a service is reached; fields are options (``--grace-s``) and variables (``XENOLITH_GRACE_S``)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = Field("127.0.0.1", description="address to listen on; 0.0.0.0 for all, as in a container")
    port: int = Field(0, ge=0, le=65535, description="port to listen on; 0 for any free one")
    grace_s: float = Field(20.0, ge=0, description="seconds that calls in flight get to finish after SIGTERM")
    max_in_flight: int = Field(32, ge=1, description="calls at once; more are asked to come again later")
    retry_after_s: float = Field(1.0, gt=0, description="seconds after which refused callers come again")
    max_message_mb: int = Field(256, ge=4, description="largest message accepted, MiB")
    max_connection_age_s: float | None = Field(
        None,
        gt=0,
        description="seconds after which connections are renewed, so that clients find new replicas",
    )
    token: SecretStr | None = Field(
        None, description="bearer token that callers must send; prefer --token-file"
    )
    token_file: Path | None = Field(None, description="file holding that token")
    tls_cert: Path | None = Field(None, description="certificate chain (PEM); with --tls-key, serve over TLS")
    tls_key: Path | None = Field(None, description="private key (PEM)")
    tls_client_ca: Path | None = Field(
        None, description="authority (PEM) whose certificate callers must show"
    )
    metrics_port: int | None = Field(
        None, ge=0, le=65535, description="port of /metrics for Prometheus; 0 for any free one, default none"
    )
    log_format: Literal["console", "json"] = Field("console", description="how log lines are written")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="least level logged")
    parent_pid: int | None = Field(
        None, description="stop when this process is gone (set by the embedded stack)"
    )

    @model_validator(mode="after")
    def _belong_together(self) -> "ServingSettings":
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key go together")
        if self.tls_client_ca and not self.tls_cert:
            raise ValueError("tls_client_ca needs tls_cert and tls_key")
        if self.token and self.token_file:
            raise ValueError("give token or token_file, not both")
        return self

    def bearer_token(self) -> str | None:
        """Return the token that callers must send, if one is set."""
        if self.token_file:
            return self.token_file.read_text().strip()
        return self.token.get_secret_value() if self.token else None


def add_arguments(parser: argparse.ArgumentParser, *, port: int | None = None) -> argparse.ArgumentParser:
    """Add an option for each setting; `port` is the service's own default."""
    group = parser.add_argument_group("serving", "each is also read from the environment: XENOLITH_<NAME>")
    for name, field in ServingSettings.model_fields.items():
        default = port if name == "port" and port is not None else field.default
        group.add_argument(
            f"--{name.replace('_', '-')}",
            metavar=name.upper(),
            help=f"{field.description} (default: {default})".replace("%", "%%"),
            default=argparse.SUPPRESS,
        )
    parser.set_defaults(_default_port=port)
    return parser


def settings_from(arguments: argparse.Namespace) -> ServingSettings:
    """Return the settings of parsed arguments and the environment.

    Raises
    ------
    InvalidArgumentError
        If a value is wrong; names the option.
    """
    given = vars(arguments)
    values: dict[str, object] = {}
    if given.get("_default_port") is not None:
        values["port"] = given["_default_port"]
    for name in ServingSettings.model_fields:
        if variable := os.environ.get(PREFIX + name.upper()):
            values[name] = variable
        if name in given:
            values[name] = given[name]
    try:
        return ServingSettings.model_validate(values)
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, e['loc'])) or 'settings'}: {e['msg']}" for e in error.errors()]
        raise InvalidArgumentError("; ".join(problems)) from error
