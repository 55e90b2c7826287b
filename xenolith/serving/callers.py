"""Who calls: the tokens that a service knows, each with a name, roles and slots.

A file of tokens is TOML, one table for each caller; a folder holds several such files::

    [trainer]
    token = "..."                           # at least 16 characters; `openssl rand -hex 32` makes one
    roles = ["score", "sample", "train"]    # or "admin"
    slots = 8                               # calls at once; left out: half of those of the service

A file that changed is read again within a second, without a restart. One that is then wrong is said so in the
log, and the tokens of before stay.
"""

import hashlib
import hmac
import time
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Protocol

import structlog
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from xenolith.contract.access import ROLES, Access
from xenolith.errors import InvalidArgumentError

__all__ = ["Caller", "Callers", "FixedCallers", "TokenFiles", "single_token"]

log = structlog.get_logger(__name__)
_LEAST_LENGTH = 16
_LOOK_S = 1.0


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Whom a token stands for."""

    name: str
    """As logs name it."""
    roles: frozenset[Access]
    """What it may do."""
    slots: int | None = None
    """Calls that it may have at once; None: as many as the service says."""
    shared: bool = False
    """Whether all callers show this token, so that it tells none from another."""


class Callers(Protocol):
    """Tells whom a token stands for."""

    def find(self, token: str) -> Caller | None:
        """Return the caller with this token, None if it is nobody's."""
        ...


class FixedCallers:
    """Tokens that do not change.

    Parameters
    ----------
    tokens
        Callers by token.
    """

    def __init__(self, tokens: Mapping[str, Caller]) -> None:
        self._known = [(_digest(token), caller) for token, caller in tokens.items()]

    def find(self, token: str) -> Caller | None:
        """Return the caller with this token, None if it is nobody's; the time tells nothing of any."""
        shown, found = _digest(token), None
        for digest, caller in self._known:
            if hmac.compare_digest(digest, shown):
                found = caller
        return found


class TokenFiles:
    """Tokens in a file, or in all ``.toml`` files of a folder, read again when they change.

    Parameters
    ----------
    path
        The file or folder.

    Raises
    ------
    InvalidArgumentError
        It cannot be read, holds no caller, an empty or short token, one token twice, an unknown role.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._state = _state(path)
        self._callers = FixedCallers(_read(path))
        self._looked = time.monotonic()

    def find(self, token: str) -> Caller | None:
        """Return the caller with this token, None if it is nobody's."""
        self._look()
        return self._callers.find(token)

    def _look(self) -> None:
        now = time.monotonic()
        if now - self._looked < _LOOK_S:
            return
        self._looked = now
        state = _state(self._path)
        if state == self._state:
            return
        self._state = state
        try:
            self._callers = FixedCallers(_read(self._path))
        except InvalidArgumentError as error:
            log.error("tokens not reloaded: those of before stay", reason=str(error))
        else:
            log.info("tokens reloaded", path=str(self._path))


def single_token(token: str) -> FixedCallers:
    """Return the callers of a service with one token, whose holders may do everything.

    Raises
    ------
    InvalidArgumentError
        It is empty.
    """
    if not token:
        raise InvalidArgumentError("the token is empty: it would open the service to everybody")
    return FixedCallers({token: Caller(name="token", roles=frozenset(ROLES), shared=True)})


class _Entry(BaseModel):
    """A caller as a file of tokens has it."""

    model_config = ConfigDict(extra="forbid")

    token: SecretStr
    roles: Annotated[list[Access], Field(min_length=1)]
    slots: int | None = Field(None, ge=1)

    @field_validator("token")
    @classmethod
    def _is_long(cls, token: SecretStr) -> SecretStr:
        text = token.get_secret_value()
        if (
            len(text) < _LEAST_LENGTH
            or not text.isascii()
            or any(c.isspace() or not c.isprintable() for c in text)
        ):
            raise ValueError(
                f"needs at least {_LEAST_LENGTH} ASCII characters without spaces: openssl rand -hex 32"
            )
        return token

    @field_validator("roles")
    @classmethod
    def _are_roles(cls, roles: list[Access]) -> list[Access]:
        if unknown := set(roles) - set(ROLES):
            raise ValueError(f"{', '.join(sorted(unknown))} is no role; roles are {', '.join(ROLES)}")
        return roles


def _read(path: Path) -> dict[str, Caller]:
    """Return callers by token."""
    tokens: dict[str, Caller] = {}
    for file in _files(path):
        for name, content in _tables(file).items():
            entry = _entry(content, f"{file}: [{name}]")
            token = entry.token.get_secret_value()
            if token in tokens or any(caller.name == name for caller in tokens.values()):
                raise InvalidArgumentError(f"{file}: [{name}] has a token or name that another caller has")
            tokens[token] = Caller(name=name, roles=frozenset(entry.roles), slots=entry.slots)
    if not tokens:
        raise InvalidArgumentError(f"{path} names no caller: give each a table with token and roles")
    return tokens


def _tables(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text())
    except OSError as error:
        raise InvalidArgumentError(f"{file} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError):  # of which the text would show the line, token included
        raise InvalidArgumentError(f"{file} is no TOML file of tokens") from None


def _entry(content: object, where: str) -> _Entry:
    try:
        return _Entry.model_validate(content)
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, e['loc'])) or 'entry'}: {e['msg']}" for e in error.errors()]
        raise InvalidArgumentError(f"{where} {'; '.join(problems)}") from None


def _files(path: Path) -> list[Path]:
    return sorted(path.glob("*.toml")) if path.is_dir() else [path]


def _state(path: Path) -> list[tuple[Path, int, int, int]]:
    """Return what changes when a file is written or replaced."""
    return [(file, at.st_mtime_ns, at.st_size, at.st_ino) for file, at in _stats(_files(path))]


def _stats(files: Iterable[Path]) -> Iterable[tuple[Path, Any]]:
    for file in files:
        try:
            yield file, file.stat()
        except OSError:  # taken away: the state changes, and reading says so
            continue


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="surrogateescape")).digest()
