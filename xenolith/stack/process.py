"""One service as a child process: started, watched, and stopped without leaving orphans."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from xenolith.errors import UnavailableError

__all__ = ["ServiceProcess", "StackError"]

_TAIL_LINES = 15
_NO_ANSWER = ("UNAVAILABLE", "DEADLINE_EXCEEDED")


class StackError(UnavailableError):
    """A service of the embedded stack did not start; the message ends with its last log lines."""


@dataclass(kw_only=True)
class ServiceProcess:
    """A service process. It stops by itself when this process is gone, even if killed."""

    name: str
    """``generator``, ``oracle`` or ``trainer``; further generators are numbered, as ``generator-2``."""
    port: int
    """Port on 127.0.0.1, kept over restarts."""
    log: Path
    """File to which its output is appended."""
    environment: Mapping[str, str]
    """Its environment variables."""
    module: str = ""
    """Python module that is run; empty: ``<name>_svc``."""
    started: float = field(default=0.0, init=False)
    """When it was last started, on the monotonic clock."""
    answered: bool = field(default=False, init=False)
    """Whether it has answered a health check since then."""
    _process: "subprocess.Popen[bytes] | None" = field(default=None, init=False, repr=False)

    @property
    def address(self) -> str:
        """``host:port``."""
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int | None:
        """Process id, None before the first start."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start it; returns at once."""
        command = [sys.executable, "-m", self.module or f"{self.name}_svc", "--port", str(self.port)]
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.started, self.answered = time.monotonic(), False
        with self.log.open("ab") as output:
            # A session of its own: Ctrl-C in the terminal reaches this process alone, which then stops the
            # services in order; and a service's own children can be signalled together with it.
            self._process = subprocess.Popen(  # our own module, in our own interpreter
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**self.environment, "XENOLITH_PARENT_PID": str(os.getpid())},
                start_new_session=True,
            )

    def exit_status(self) -> int | None:
        """Return the exit status, None while it runs."""
        return self._process.poll() if self._process else None

    def is_serving(self) -> bool:
        """Whether it answers a health check with SERVING."""
        serves = self._health() == "SERVING"
        self.answered |= serves
        return serves

    def answers(self) -> bool:
        """Whether it answers a health check, whatever it says."""
        answers = not self._health().startswith(_NO_ANSWER)
        self.answered |= answers
        return answers

    def _health(self) -> str:
        from xenolith.serving.healthcheck import (
            check,
        )  # needs what services need; the rest of the stack does not

        authority, certificate, key = (
            Path(file) if (file := self.environment.get(f"XENOLITH_TLS_{name}")) else None
            for name in ("CA", "CERT", "KEY")
        )
        return check(self.address, timeout_s=2.0, authority=authority, certificate=certificate, key=key)

    def wait_serving(self, timeout_s: float) -> None:
        """Return once it serves.

        Raises
        ------
        StackError
            If it ends first, or does not serve in time.
        """
        end = time.monotonic() + timeout_s
        while not self.is_serving():
            if (status := self.exit_status()) is not None:
                raise StackError(f"the {self.name} ended with status {status} while starting{self._tail()}")
            if time.monotonic() > end:
                raise StackError(f"the {self.name} does not serve after {timeout_s:g} s{self._tail()}")
            time.sleep(0.2)

    def terminate(self) -> None:
        """Ask it to drain and end."""
        if self._process and self._process.poll() is None:
            self._process.terminate()

    def join(self, timeout_s: float) -> None:
        """Wait for its end; after `timeout_s` it is killed, and with it whatever children it left."""
        if self._process is None:
            return
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        finally:
            self.kill_children()

    def kill(self) -> None:
        """End it at once, also where it hears nothing any more, and whatever it has started."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self.kill_children()

    def kill_children(self) -> None:
        """End what is left of the service's session once the service itself has ended."""
        if self._process is None or self._process.poll() is None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):  # nothing left, which is the rule
            os.killpg(self._process.pid, signal.SIGKILL)

    def _tail(self) -> str:
        try:
            lines = self.log.read_text(errors="replace").splitlines()[-_TAIL_LINES:]
        except OSError:
            lines = []
        return "\n".join([f"; the end of {self.log}:", *lines]) if lines else f"; its log is {self.log}"
