"""One worker process, seen from the service: start it, talk to it, end it (its own side is `worker`)."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import structlog

from oracle_svc.codec import decode
from oracle_svc.environments.interpreter import Interpreter

__all__ = [
    "PoolClosedError",
    "WorkerDiedError",
    "WorkerError",
    "WorkerProcess",
    "WorkerStoppedError",
    "WorkerTimeoutError",
]

log = structlog.get_logger(__name__)
_POLL_S = 0.05
_LONGEST_LINE = 2000
_STOP_GRACE_S = 1.0
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")

Stop = Callable[[], bool] | None
"""Says whether the caller no longer wants the answer."""


class WorkerError(Exception):
    """A request got no answer from a worker."""


class WorkerDiedError(WorkerError):
    """The worker process ended in mid-request (crash, out of memory, kill)."""


class WorkerTimeoutError(WorkerError):
    """The worker exceeded the time limit and was killed."""


class WorkerStoppedError(WorkerError):
    """The caller no longer wants the answer; the worker was killed."""


class PoolClosedError(WorkerError):
    """The pool was closed."""


@dataclass(kw_only=True, eq=False)
class WorkerProcess:
    """A fresh interpreter at the other end of a socket pair."""

    process: subprocess.Popen[bytes]
    link: Connection
    ready: bool = False
    """Whether it has built its handler."""
    served: int = 0
    """Requests answered."""

    @classmethod
    def start(cls, handler: str, threads: int, interpreter: Interpreter) -> WorkerProcess:
        """Start one; it waits for the options of its handler."""
        ours, theirs = socket.socketpair()
        with theirs:
            process = subprocess.Popen(
                [interpreter.python, "-m", "oracle_svc.pools.worker", str(theirs.fileno()), handler],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env=interpreter.environment(**dict.fromkeys(_THREAD_VARIABLES, str(threads))),
            )
        threading.Thread(target=_log_lines, args=(process,), name="worker lines", daemon=True).start()
        return cls(process=process, link=Connection(ours.detach()))

    def alive(self) -> bool:
        """Whether it can be given a request."""
        return self.process.poll() is None and not self.link.closed

    def kill(self) -> None:
        """End it, whatever it is doing."""
        with contextlib.suppress(OSError):
            self.link.close()
        self.process.kill()
        self.process.wait()

    def await_ready(self, until: float, stop: Stop, index: int | None = None) -> None:
        """Wait until it has built its handler.

        Raises
        ------
        WorkerError
            It has not; `index` names it in the message.
        """
        if not self.ready:
            answer = self._receive(until, stop)
            if "error" in answer:
                name = "worker" if index is None else f"worker {index}"
                raise WorkerError(f"{name} could not start: {answer['error']}")
            self.ready = True

    def exchange(self, message: bytes, until: float, stop: Stop) -> dict[str, Any]:
        """Send a request and wait for its answer.

        Raises
        ------
        WorkerDiedError, WorkerTimeoutError, WorkerStoppedError
            See each class; `until` is a time of `time.monotonic`.
        """
        try:
            self.link.send_bytes(message)
        except OSError as error:
            raise WorkerDiedError(self._obituary()) from error
        return self._receive(until, stop)

    def _receive(self, until: float, stop: Stop) -> dict[str, Any]:
        stopped = False
        try:
            while not self.link.poll(_POLL_S):
                if not stopped and stop is not None and stop():
                    # Most answers come soon, and a new worker takes seconds to start.
                    stopped, until = True, min(until, time.monotonic() + _STOP_GRACE_S)
                if time.monotonic() > until:
                    raise (
                        WorkerStoppedError("stopped by the caller")
                        if stopped
                        else WorkerTimeoutError("too slow")
                    )
            return decode(self.link.recv_bytes())
        except (EOFError, OSError) as error:
            raise WorkerDiedError(self._obituary()) from error

    def _obituary(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=2.0)
        return f"the worker process ended (exit code {self.process.returncode})"


def _log_lines(process: subprocess.Popen[bytes]) -> None:
    """Log what a worker and its libraries print, its last words among them, as lines of this service."""
    if process.stderr is None:
        return
    with process.stderr as lines:
        # Read in any case: a worker whose pipe is full would stand still.
        for line in iter(lambda: lines.readline(_LONGEST_LINE), b""):
            if text := line.decode(errors="replace").strip():
                log.info("worker wrote", pid=process.pid, text=text)
