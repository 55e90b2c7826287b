"""Jobs where the oracle has worker processes: the same calls, answered from result files."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import structlog

from oracle_svc.pools.jobs.base import Attempt, JobBackend
from oracle_svc.pools.jobs.folder import Job, JobFolder
from oracle_svc.pools.worker_pool import (
    PoolClosedError,
    WorkerDiedError,
    WorkerPool,
    WorkerStoppedError,
    WorkerTimeoutError,
)
from oracle_svc.status import Status
from xenolith.crystal import CrystalBatch

__all__ = ["JobPool"]

log = structlog.get_logger(__name__)
_FIRST_LOOK_S = 0.05
_LONGEST_LOOK_S = 1.0
_LOG_TAIL = 400


class JobPool:
    """Answers the requests of `CalculatorPool`, one structure each, by jobs.

    Parameters
    ----------
    backend
        What runs them.
    root
        Folder of all jobs.
    calculator, settings
        As for `oracle_svc.calculators.open_calculator`.
    size
        Jobs at once.
    """

    def __init__(
        self, backend: JobBackend, root: Path, *, calculator: str, settings: Mapping[str, Any], size: int
    ) -> None:
        self.size = size
        self._backend, self._root = backend, root
        self._calculator, self._settings = calculator, dict(settings)
        self._description: dict[str, Any] = {}
        self._slots = threading.Semaphore(size)
        self._lock = threading.Lock()
        self._at_work: dict[str, Attempt] = {}
        self._closed = self._leaving = False

    def warm_up(self) -> None:
        """Ask the calculator who it is, in a process that ends afterwards.

        Raises
        ------
        WorkerError
            It cannot be opened here.
        """
        asker = WorkerPool(
            handler="oracle_svc.pools.calculator_process:worker",
            options={"calculator": self._calculator, "settings": self._settings},
        )
        try:
            asker.warm_up()
            self._description = asker.call({"describe": True}, time_limit_s=60.0)
        finally:
            asker.close()

    def call(
        self,
        request: Mapping[str, Any],
        *,
        time_limit_s: float,
        stop: Callable[[], bool] | None = None,
    ) -> dict[str, Any]:
        """Answer a request as a worker process would; a result that exists is not computed again.

        Raises
        ------
        WorkerTimeoutError, WorkerDiedError, WorkerStoppedError, PoolClosedError
            As `WorkerPool.call`; time in which the job waits for a place here does not count.
        """
        if "describe" in request:
            return self._description
        job = self._job(request)
        folder = JobFolder.of(self._root, job)
        with self._place(job.key, stop):
            found = folder.result()
            if found is None:
                self._run(job, folder, time_limit_s, stop)
                found = folder.result()
        if found is None:
            raise WorkerDiedError(f"the job left no result; its log is {folder.log}{_tail(folder)}")
        return _answer(found)

    def pids(self) -> list[int]:
        """Processes of jobs on this machine."""
        with self._lock:
            return [pid for attempt in self._at_work.values() for pid in attempt.pids()]

    def leave(self) -> None:
        """From now on, what stops waiting for a job does so because the service ends."""
        self._leaving = True

    def close(self) -> None:
        """End jobs on this machine, and let go of those in a queue."""
        with self._lock:
            self._closed = self._leaving = True
            attempts = list(self._at_work.values())
        for attempt in attempts:
            if not self._backend.outlives:
                attempt.cancel()
        self._backend.close()

    def _job(self, request: Mapping[str, Any]) -> Job:
        columns = {name: request[name] for name in ("num_atoms", "lattices", "numbers", "frac_coords")}
        batch = CrystalBatch(**columns)
        if len(batch) != 1:
            raise ValueError(f"a job is one structure, not {len(batch)}")
        return Job(
            calculator=self._calculator,
            settings=self._settings,
            calculator_digest=self._description["settings_digest"],
            crystal=batch[0],
            with_forces=bool(request["with_forces"]),
        )

    def _run(self, job: Job, folder: JobFolder, limit_s: float, stop: Callable[[], bool] | None) -> None:
        folder.prepare(job)
        attempt = self._backend.submit(folder, limit_s)
        with self._lock:
            self._at_work[job.key] = attempt
        log.info("job handed over", key=job.key[:12], formula=job.crystal.formula, backend=self._backend.name)
        try:
            how = self._awaited(attempt, time.monotonic() + limit_s, stop)
        except BaseException:
            if not (self._leaving and self._backend.outlives):
                attempt.cancel()
            raise
        finally:
            with self._lock:
                del self._at_work[job.key]
        if folder.result() is None:
            folder.clean()
            raise WorkerDiedError(f"{how}; the job's log is {folder.log}{_tail(folder)}")

    def _awaited(self, attempt: Attempt, until: float, stop: Callable[[], bool] | None) -> str:
        pause = _FIRST_LOOK_S
        while (how := attempt.ended()) is None:
            if self._closed:
                raise PoolClosedError("the job pool is closed")
            if stop is not None and stop():
                raise WorkerStoppedError("stopped by the caller")
            if time.monotonic() > until:
                raise WorkerTimeoutError("too slow")
            threading.Event().wait(pause)
            pause = min(_LONGEST_LOOK_S, 1.2 * pause)
        return how

    @contextlib.contextmanager
    def _place(self, key: str, stop: Callable[[], bool] | None) -> Iterator[None]:
        """Wait for one of the places, and for another request for the same job to end."""
        while True:
            if self._slots.acquire(timeout=_FIRST_LOOK_S):
                with self._lock:
                    free = key not in self._at_work
                if free:
                    break
                self._slots.release()
            if self._closed:
                raise PoolClosedError("the job pool is closed")
            if stop is not None and stop():
                raise WorkerStoppedError("stopped while waiting for a place")
        try:
            yield
        finally:
            self._slots.release()


def _answer(result: Mapping[str, Any]) -> dict[str, Any]:
    """A result in the words of a worker process."""
    energy = result["energy_per_atom"]
    answer: dict[str, Any] = {
        "energy_per_atom": np.array([np.nan if energy is None else energy]),
        "statuses": [int(Status[result["status"]])],
        "messages": [result["message"]],
    }
    if result.get("forces") is not None:
        answer["forces"] = np.array(result["forces"])
    if result.get("stress") is not None:
        answer["stress"] = np.array([result["stress"]])
    return answer


def _tail(folder: JobFolder) -> str:
    """The end of a job's log, for whoever reads a message far from the file."""
    try:
        text = folder.log.read_bytes()[-_LOG_TAIL:].decode(errors="replace").strip()
    except OSError:
        return ""
    return f" and ends with: {text}" if text else ""
