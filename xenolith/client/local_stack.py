"""The local stack: where one on this machine writes how to reach it, and where clients look for it."""

import json
import os
import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from xenolith.client.transport.connection import connection_from_environment
from xenolith.contract.ports import DEFAULT_PORTS
from xenolith.errors import InvalidArgumentError, NotFoundError, StackNotFoundError
from xenolith.files import read_text, write_json

__all__ = ["DEFAULT_FOLDER", "FOLDER_VARIABLE", "StackRecord", "default_folder", "find_local_stack"]

FOLDER_VARIABLE = "XENOLITH_STACK_DIR"
"""Names the folder of the local stack, for those who start it and for those who look for it."""
DEFAULT_FOLDER = "xenolith-stack"
"""The folder, in the current one, unless the variable names another."""
_FILE = "stack.json"
_HOST = "127.0.0.1"
_PROBE_S = 0.5
_FILES = ("token_file", "tls_ca", "tls_cert", "tls_key")


@dataclass(frozen=True, kw_only=True)
class StackRecord:
    """How to reach a stack that runs on this machine; a file in its folder while it serves."""

    pid: int
    """Process that keeps the stack up."""
    addresses: Mapping[str, str]
    """``host:port`` by name of service, of those too that run elsewhere."""
    listening: tuple[str, ...]
    """``host:port`` of the processes that the stack itself started."""
    files: Mapping[str, str]
    """Paths of `token_file`, `tls_ca`, `tls_cert` and `tls_key`, those there are; never a token itself."""

    def write(self, folder: Path) -> None:
        """Put the record into a folder, in place of an earlier one."""
        write_json(folder / _FILE, asdict(self))

    def remove(self, folder: Path) -> None:
        """Take the record out of a folder, unless another stack has put its own there since."""
        try:
            if _read(folder / _FILE) == self:
                (folder / _FILE).unlink(missing_ok=True)
        except (InvalidArgumentError, NotFoundError):
            return

    def connection(self) -> dict[str, Any]:
        """Return token and certificates as `xenolith.client.Options` takes them."""
        found: dict[str, Any] = {name: Path(file) for name, file in self.files.items()}
        if file := found.pop("token_file", None):
            found["token"] = read_text(file).strip()
        return found

    @property
    def answers(self) -> bool:
        """Whether anybody listens where its services were started."""
        return any(_listens(address) for address in self.listening)


def default_folder() -> Path:
    """Return the folder of the local stack that this process would start."""
    return Path(os.environ.get(FOLDER_VARIABLE) or DEFAULT_FOLDER)


def find_local_stack(
    ports: Mapping[str, int] = DEFAULT_PORTS,
) -> tuple[dict[str, str], dict[str, Any]]:
    """Return addresses of the local stack by name of service, and how to connect, as `Options` takes it.

    An address in the environment (``XENOLITH_ORACLE``, ...) goes before all others. Then comes the record in
    the folder that ``XENOLITH_STACK_DIR`` names, else in ``xenolith-stack`` here or in a folder above; then
    whatever listens at the usual `ports` of this machine.

    Raises
    ------
    StackNotFoundError
        There is no stack; the message says how to start one.
    InvalidArgumentError
        The record is none.
    """
    stated = {name: at for name in DEFAULT_PORTS if (at := os.environ.get(f"XENOLITH_{name.upper()}"))}
    record, stale = _recorded()
    if record is not None:
        return {**record.addresses, **stated}, {**record.connection(), **connection_from_environment()}
    usual = {name: f"{_HOST}:{port}" for name, port in ports.items()}
    addresses = {name: at for name, at in usual.items() if name not in stated and _listens(at)} | stated
    if not addresses:
        raise StackNotFoundError(
            "no stack of Xenolith runs on this machine: start one with `xenolith up` in a terminal, or inside"
            " this program with `with Stack() as stack, stack.client() as client` (from xenolith.stack), or"
            f" give addresses: Client(oracle='{usual['oracle']}'). Looked for {', '.join(_looked_at(stale))}"
        )
    return addresses, connection_from_environment()


def _recorded() -> tuple[StackRecord | None, Path | None]:
    """Return the record of a stack that answers; else None, and the file of one that does not, if any."""
    stale = None
    for folder in _folders():
        file = folder / _FILE
        # One that another user has put in our way would get our token.
        if file.is_file() and file.stat().st_uid == os.getuid():
            record = _read(file)
            if record.answers:
                return record, None
            stale = stale or file
    return None, stale


def _folders() -> list[Path]:
    if named := os.environ.get(FOLDER_VARIABLE):
        return [Path(named)]
    here = Path.cwd()
    return [folder / DEFAULT_FOLDER for folder in (here, *here.parents)]


def _read(file: Path) -> StackRecord:
    try:
        fields = json.loads(read_text(file))
        record = StackRecord(**{**fields, "listening": tuple(fields["listening"])})
        known = set(record.addresses) <= set(DEFAULT_PORTS) and set(record.files) <= set(_FILES)
        texts = [*record.addresses.values(), *record.files.values(), *record.listening]
        if not known or not all(isinstance(text, str) for text in texts):
            raise ValueError("names what it does not know")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InvalidArgumentError(
            f"{file} is no record of a stack ({error}): remove it, or give addresses"
        ) from error
    return record


def _listens(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), _PROBE_S):
            return True
    except (OSError, ValueError):
        return False


def _looked_at(stale: Path | None) -> list[str]:
    variables = ", ".join(f"XENOLITH_{name.upper()}" for name in DEFAULT_PORTS)
    folder = f"{default_folder() / _FILE}" + ("" if os.environ.get(FOLDER_VARIABLE) else " here and above")
    ports = ", ".join(str(port) for port in DEFAULT_PORTS.values())
    left = f"{stale}, whose stack has ended" if stale else folder
    return [f"the variables {variables}", left, f"and ports {ports} of {_HOST}"]
