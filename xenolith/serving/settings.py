"""Settings of service processes: from the command line, the environment, files of secrets, else defaults."""

from __future__ import annotations

import argparse
import os
import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import grpc
from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    CliSettingsSource,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SecretsSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from xenolith.errors import InvalidArgumentError
from xenolith.serving.callers import Callers, TokenFiles, single_token
from xenolith.serving.calls.observation import AccessLevel
from xenolith.serving.log import configure_logging

__all__ = [
    "ProcessSettings",
    "ServingSettings",
    "StackVariable",
    "add_arguments",
    "file_content",
    "settings_from",
    "start_logging",
]

SECRETS_DIR = "XENOLITH_SECRETS_DIR"
"""Variable with a folder of secrets: files that are named like variables (``XENOLITH_TOKEN``)."""
_DEFAULT = "_default_"
"""Before the name of a field: its default in this process, among parsed arguments."""


@dataclass(frozen=True)
class StackVariable:
    """Marks a field that a variable of the whole stack stands in for, where its own is not set.

    Examples
    --------
    >>> cache: Annotated[str, StackVariable("XENOLITH_CACHE")] = "none"     # doctest: +SKIP
    """

    name: str


class ProcessSettings(BaseSettings):
    """Settings of a service process. A subclass declares fields, and the prefix of its variables.

    Each field is an option (``--grace-s``), a variable (prefix and ``GRACE_S``) and a file of that name in
    the folder that XENOLITH_SECRETS_DIR names; the first of these that is given counts. Constructed in code,
    it takes what the code gives and looks at none of them.
    """

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        validate_default=False,
        env_ignore_empty=True,
        enable_decoding=False,  # a field of type Json reads its text itself
        cli_kebab_case=True,
        cli_hide_none_type=True,
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Let code be the only source of what code constructs."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)

    @classmethod
    def add_options(cls, parser: argparse.ArgumentParser, title: str, **defaults: object) -> None:
        """Add an option for each field to a parser.

        Parameters
        ----------
        parser
            Of the process; may hold the options of several kinds of settings.
        title
            What the help calls these options.
        defaults
            Values that take the place of the fields' own defaults.
        """
        prefix = cls.model_config["env_prefix"]
        group = parser.add_argument_group(title, f"each is also read from the environment: {prefix}<NAME>")
        stand_ins = _stack_variables(cls)

        def add(_parser: object, *names: str, **given: Any) -> None:
            name = str(given["dest"])
            # A default that is none, or made on the spot, is told by the description.
            text = re.sub(r" \(default(: null|: | factory: .*)\)$", "", given["help"])
            if name in defaults:
                text = re.sub(r"\(default: .*\)$", f"(default: {defaults[name]})", text)
            if name in stand_ins:
                text += f"; also read from {stand_ins[name]}"
            shown = given["metavar"] if given["metavar"].startswith("{") else name.upper()
            group.add_argument(*names, **{**given, "help": text.replace("%", "%%"), "metavar": shown})

        _command_line(cls, parser, add)
        parser.set_defaults(**{_DEFAULT + name: value for name, value in defaults.items()})

    @classmethod
    def read(cls, given: argparse.Namespace) -> Self:
        """Return the settings of a process, whose options have been parsed.

        Raises
        ------
        InvalidArgumentError
            If a value is wrong; names the field.
        """
        parsed = vars(given)
        options = {name: parsed[name] for name in cls.model_fields if name in parsed}
        values = {name: parsed[_DEFAULT + name] for name in cls.model_fields if _DEFAULT + name in parsed}
        values |= _secrets(cls)
        values |= {
            name: os.environ[variable]
            for name, variable in _stack_variables(cls).items()
            if os.environ.get(variable)
        }
        values |= EnvSettingsSource(cls)()
        try:
            values |= _command_line(cls, argparse.ArgumentParser())(parsed_args=options)()
            return cls(**values)
        except ValidationError as error:
            problems = [f"{'.'.join(map(str, e['loc'])) or 'settings'}: {e['msg']}" for e in error.errors()]
            raise InvalidArgumentError("; ".join(problems)) from error
        except SettingsError as error:
            raise InvalidArgumentError(str(error)) from error


def _command_line(
    kind: type[ProcessSettings],
    parser: argparse.ArgumentParser,
    add: Callable[..., Any] = argparse.ArgumentParser.add_argument,
) -> CliSettingsSource[Any]:
    """Options of a kind of settings, as a source of values; `add` adds one to the parser."""
    return CliSettingsSource(kind, root_parser=parser, add_argument_method=add, cli_parse_args=False)


def _stack_variables(kind: type[ProcessSettings]) -> dict[str, str]:
    """Variables of the whole stack by the field that they stand in for."""
    return {
        name: mark.name
        for name, field in kind.model_fields.items()
        for mark in field.metadata
        if isinstance(mark, StackVariable)
    }


def _secrets(kind: type[ProcessSettings]) -> dict[str, Any]:
    folder = os.environ.get(SECRETS_DIR)
    if not folder:
        return {}
    if not Path(folder).is_dir():
        raise InvalidArgumentError(f"{SECRETS_DIR} names {folder}, which is no folder")
    return SecretsSettingsSource(kind, folder)()


class ServingSettings(ProcessSettings):
    """How a service is reached; fields are options (``--grace-s``) and variables (``XENOLITH_GRACE_S``)."""

    model_config = SettingsConfigDict(env_prefix="XENOLITH_")

    host: str = Field("127.0.0.1", description="address to listen on; 0.0.0.0 for all, as in a container")
    port: int = Field(0, ge=0, le=65535, description="port to listen on; 0 for any free one")
    grace_s: float = Field(20.0, ge=0, description="seconds that calls in flight get to finish after SIGTERM")
    max_in_flight: int = Field(32, ge=1, description="calls at once; more are asked to come again later")
    retry_after_s: float = Field(1.0, gt=0, description="seconds after which refused callers come again")
    caller_slots: int | None = Field(
        None,
        ge=1,
        description="calls at once of a caller whose token gives no slots; default: half of max_in_flight",
    )
    stream_idle_s: float = Field(
        60.0,
        gt=0,
        description="seconds after which a stream ends whose caller sends nothing and waits for nothing",
    )
    compression: bool = Field(
        False, description="accept compressed messages; a small one may unpack to max_message_mb"
    )
    reflection: bool = Field(True, description="tell callers with a token which methods there are")
    max_waiting: int = Field(
        512, ge=1, description="calls at once that only wait or watch, and take no place of the others"
    )
    max_message_mb: int = Field(64, ge=4, description="largest message accepted, MiB")
    min_ping_s: float = Field(
        5.0,
        gt=0,
        description="shortest time between two signs of life that a caller may ask for; who asks more often"
        " loses the connection",
    )
    max_connection_age_s: float | None = Field(
        None,
        gt=0,
        description="seconds after which connections are renewed, so that clients find new replicas",
    )
    token: SecretStr | None = Field(
        None, description="bearer token that callers must send; prefer --token-file"
    )
    token_file: Path | None = Field(None, description="file holding that token")
    tokens: Path | None = Field(
        None,
        description="TOML file, or folder of such files, with the tokens of several callers, their roles and"
        " slots; read again when it changes (docs/security.md)",
    )
    tls_cert: Path | None = Field(None, description="certificate chain (PEM); with --tls-key, serve over TLS")
    tls_key: Path | None = Field(None, description="private key (PEM)")
    tls_ca: Path | None = Field(
        None,
        description="authority (PEM) of the whole stack: with --tls-cert and --tls-key, callers must show a"
        " certificate of it, and so do the services that this one calls",
    )
    tls_client_ca: Path | None = Field(
        None, description="authority (PEM) whose certificate callers must show"
    )
    metrics_port: int | None = Field(
        None, ge=0, le=65535, description="port of /metrics for Prometheus; 0 for any free one, default none"
    )
    metrics_host: str = Field(
        "127.0.0.1", description="address of /metrics; anybody who reaches it may read it"
    )
    log_format: Literal["console", "json"] = Field("console", description="how log lines are written")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="least level logged")
    # In a service process info; a server inside a script or notebook leaves its terminal alone.
    access_log: AccessLevel = Field(
        "off", description="level of the line that each call leaves in the log; off for none"
    )
    refusal_log_s: float = Field(
        60.0,
        gt=0,
        description="seconds between two log lines on refusals of a kind; all are counted",
    )
    parent_pid: int | None = Field(
        None, description="stop when this process is gone (set by the embedded stack)"
    )

    @model_validator(mode="after")
    def _belong_together(self) -> ServingSettings:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key go together")
        if self.tls_client_ca and not self.tls_cert:
            raise ValueError("tls_client_ca needs tls_cert and tls_key")
        if len([given for given in (self.token, self.token_file, self.tokens) if given is not None]) > 1:
            raise ValueError("give one of token, token_file and tokens, not both")
        return self

    def bearer_token(self) -> str | None:
        """Return the token that all callers must send, if one is set.

        Raises
        ------
        InvalidArgumentError
            Its file cannot be read.
        """
        if self.token_file:
            return file_content(self.token_file, "token_file").decode(errors="replace").strip()
        return None if self.token is None else self.token.get_secret_value()

    def callers(self) -> Callers | None:
        """Return who may call; None: everybody.

        Raises
        ------
        InvalidArgumentError
            A file cannot be read, a token is empty or an entry wrong.
        """
        if self.tokens:
            return TokenFiles(self.tokens)
        token = self.bearer_token()
        return None if token is None else single_token(token)

    def credentials(self) -> grpc.ServerCredentials | None:
        """Return what the service proves its name with; None: it speaks plain text.

        Raises
        ------
        InvalidArgumentError
            A file cannot be read, or key and certificate do not match.
        """
        if self.tls_cert is None or self.tls_key is None:
            return None
        key, certificate = file_content(self.tls_key, "tls_key"), file_content(self.tls_cert, "tls_cert")
        trusted = self.tls_client_ca or self.tls_ca
        authority = file_content(trusted, "tls_client_ca") if trusted else None
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self.tls_cert, self.tls_key)
        except ssl.SSLError as error:
            raise InvalidArgumentError(
                f"tls_key: {self.tls_key} is not the key of {self.tls_cert} ({error.reason})"
            ) from error
        return grpc.ssl_server_credentials(
            [(key, certificate)], root_certificates=authority, require_client_auth=authority is not None
        )


def file_content(file: Path, name: str) -> bytes:
    """Return what is in the file of a setting.

    Raises
    ------
    InvalidArgumentError
        It cannot be read; names the setting.
    """
    try:
        return file.read_bytes()
    except OSError as error:
        raise InvalidArgumentError(f"{name}: {file} cannot be read: {error.strerror}") from error


def add_arguments(parser: argparse.ArgumentParser, *, port: int | None = None) -> argparse.ArgumentParser:
    """Add an option for each serving setting; `port` is the service's own default."""
    ServingSettings.add_options(
        parser, "serving", access_log="info", **({} if port is None else {"port": port})
    )
    return parser


def settings_from(arguments: argparse.Namespace) -> ServingSettings:
    """Return the serving settings of parsed arguments, the environment and files of secrets.

    Raises
    ------
    InvalidArgumentError
        If a value or a file of it is wrong; names the field.
    """
    settings = ServingSettings.read(arguments)
    # Before anything heavy is loaded: files of tokens and keys are right, or the process ends here.
    settings.callers()
    settings.credentials()
    return settings


def start_logging(settings: ServingSettings, service: str) -> None:
    """Write log lines as the settings say from here on, those of loading a model among them."""
    configure_logging(service, settings.log_level, settings.log_format)
