"""Jobs as processes on this machine, each in a session of its own, so that it ends with all its children."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys

from oracle_svc.pools.jobs.base import PARENT
from oracle_svc.pools.jobs.folder import JobFolder

__all__ = ["LocalBackend"]


class LocalBackend:
    """Starts a process per job. Jobs end with the service; what they finished stays.

    Parameters
    ----------
    threads
        Threads each may use in numerical libraries.
    """

    name = "local"
    outlives = False

    def __init__(self, *, threads: int = 1) -> None:
        self._threads = threads

    def submit(self, folder: JobFolder, limit_s: float) -> _Process:
        """Start a process."""
        with folder.log.open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "oracle_svc.pools.jobs.run", str(folder.path)],
                cwd=folder.path,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=_environment(self._threads),
                start_new_session=True,
            )
        return _Process(process, folder)

    def close(self) -> None:
        """Nothing to let go: attempts are cancelled by whoever waits for them."""


class _Process:
    def __init__(self, process: subprocess.Popen[bytes], folder: JobFolder) -> None:
        self._process, self._folder = process, folder

    def ended(self) -> str | None:
        """Exit status or signal of the process."""
        code = self._process.poll()
        if code is None:
            return None
        self._end_children()
        return f"ended by {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"

    def cancel(self) -> None:
        """Kill the session."""
        self._end_children()
        self._process.wait()
        self._folder.clean()

    def pids(self) -> list[int]:
        """The job's process."""
        return [self._process.pid] if self._process.poll() is None else []

    def _end_children(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)


def _environment(threads: int) -> dict[str, str]:
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    path = os.pathsep.join(entry for entry in sys.path if entry)
    return {
        **os.environ,
        **dict.fromkeys(names, str(threads)),
        "PYTHONPATH": path,
        PARENT: str(os.getpid()),
    }
