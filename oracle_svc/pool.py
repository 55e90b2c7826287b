"""Worker processes that may hang, crash or be killed without taking anyone along.

Each worker is a fresh interpreter (never a fork: gRPC threads do not survive one) that builds one handler
and answers requests, one at a time, over a socket pair. Requests and answers are records of `codec`. A
worker that dies or exceeds its time limit is killed, and another takes its place on the next request.
"""

from __future__ import annotations

import contextlib
import os
import queue
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

import structlog

from oracle_svc.codec import decode, encode

__all__ = [
    "PoolClosedError",
    "WorkerDiedError",
    "WorkerError",
    "WorkerPool",
    "WorkerStoppedError",
    "WorkerTimeoutError",
]

_POLL_S = 0.05
_START_LIMIT_S = 180.0
_START_ATTEMPTS = 5
_STOP_GRACE_S = 1.0

log = structlog.get_logger(__name__)


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
class _Worker:
    process: subprocess.Popen[bytes]
    link: Connection
    ready: bool = False
    served: int = field(default=0)

    def alive(self) -> bool:
        return self.process.poll() is None and not self.link.closed

    def kill(self) -> None:
        with contextlib.suppress(OSError):
            self.link.close()
        self.process.kill()
        self.process.wait()


class WorkerPool:
    """A fixed number of worker processes, started on demand.

    Parameters
    ----------
    handler
        `package.module:function`; called once in each worker with `options`, it returns the function that
        turns a request record into an answer record.
    options
        JSON values for the handler.
    size
        Number of processes.
    threads
        Threads each worker may use in numerical libraries.
    """

    def __init__(
        self, *, handler: str, options: Mapping[str, Any] | None = None, size: int = 1, threads: int = 1
    ) -> None:
        if size < 1:
            raise ValueError(f"a pool needs at least one worker, not {size}")
        self.size = size
        self._handler = handler
        self._options = encode(dict(options or {}))
        self._threads = threads
        self._closed = False
        self._lock = threading.Lock()
        self._all: set[_Worker] = set()
        self._idle: queue.LifoQueue[_Worker | None] = queue.LifoQueue()
        for _ in range(size):
            self._idle.put(None)

    def warm_up(self) -> None:
        """Start every worker and wait until it has built its handler.

        Raises
        ------
        WorkerError
            A worker ended before it was ready; its standard error says why.
        """
        slots = [self._idle.get() for _ in range(self.size)]
        workers: list[_Worker | None] = [
            slot if slot is not None and slot.alive() else None for slot in slots
        ]
        try:
            workers = [worker or self._start() for worker in workers]
            for index, worker in enumerate(workers):
                if worker is not None:
                    self._await_ready(worker, time.monotonic() + _START_LIMIT_S, None, index)
        finally:
            for worker in workers:
                if worker is None:
                    self._idle.put(None)
                else:
                    self._put_back(worker, healthy=worker.ready)

    def call(
        self,
        request: Mapping[str, Any],
        *,
        time_limit_s: float,
        stop: Callable[[], bool] | None = None,
    ) -> dict[str, Any]:
        """Send one request to a free worker and wait for its answer. Thread-safe.

        Parameters
        ----------
        request
            A record of arrays and JSON values.
        time_limit_s
            Longest time the handler may take, seconds; starting the process and waiting for a free one not
            counted.
        stop
            Asked about 20 times a second; once it says True the worker has a second left to answer, or is
            killed.

        Raises
        ------
        WorkerTimeoutError, WorkerDiedError, WorkerStoppedError, PoolClosedError
            See each class. The pool stays usable, but for the last.
        WorkerError
            No worker could be started.
        """
        worker = self._ready_worker(stop)
        healthy = False
        try:
            answer = self._exchange(worker, encode(request), time.monotonic() + time_limit_s, stop)
            healthy = True
        finally:
            self._put_back(worker, healthy=healthy)
        worker.served += 1
        return answer

    def pids(self) -> list[int]:
        """Process ids of the living workers."""
        with self._lock:
            return [worker.process.pid for worker in self._all if worker.process.poll() is None]

    def close(self) -> None:
        """Kill every worker. Calls in progress end in `WorkerDiedError`."""
        with self._lock:
            self._closed = True
            workers, self._all = self._all, set()
        for worker in workers:
            worker.process.kill()
            worker.process.wait()

    def _ready_worker(self, stop: Callable[[], bool] | None) -> _Worker:
        """Take a worker that has built its handler; one that dies before is no request's fault."""
        for attempt in range(1, _START_ATTEMPTS + 1):
            worker = self._checkout(stop)
            ready = False
            try:
                self._await_ready(worker, time.monotonic() + _START_LIMIT_S, stop)
                ready = True
            except WorkerDiedError as error:
                if attempt == _START_ATTEMPTS:
                    raise WorkerError(f"no worker could be started: {error}") from error
            finally:
                if not ready:
                    self._put_back(worker, healthy=False)
            if ready:
                return worker
        raise AssertionError("unreachable")

    def _put_back(self, worker: _Worker, *, healthy: bool) -> None:
        if not healthy:
            self._discard(worker)
        self._idle.put(worker if healthy else None)

    def _checkout(self, stop: Callable[[], bool] | None) -> _Worker:
        while True:
            if self._closed:
                raise PoolClosedError("the worker pool is closed")
            if stop is not None and stop():
                raise WorkerStoppedError("stopped while waiting for a worker")
            try:
                slot = self._idle.get(timeout=_POLL_S)
            except queue.Empty:
                continue
            if slot is not None and slot.alive():
                return slot
            try:
                if slot is not None:
                    self._discard(slot)
                return self._start()
            except BaseException:
                self._idle.put(None)
                raise

    def _start(self) -> _Worker:
        ours, theirs = socket.socketpair()
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-m", "oracle_svc.worker", str(theirs.fileno()), self._handler],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env=_environment(self._threads),
            )
        worker = _Worker(process=process, link=Connection(ours.detach()))
        with self._lock:
            if self._closed:
                worker.kill()
                raise PoolClosedError("the worker pool is closed")
            self._all.add(worker)
        worker.link.send_bytes(self._options)
        return worker

    def _await_ready(
        self, worker: _Worker, until: float, stop: Callable[[], bool] | None, index: int | None = None
    ) -> None:
        if not worker.ready:
            answer = self._receive(worker, until, stop)
            if "error" in answer:
                raise WorkerError(
                    f"worker {'' if index is None else index} could not start: {answer['error']}"
                )
            worker.ready = True

    def _exchange(
        self, worker: _Worker, message: bytes, until: float, stop: Callable[[], bool] | None
    ) -> dict[str, Any]:
        try:
            worker.link.send_bytes(message)
        except OSError as error:
            raise WorkerDiedError(_obituary(worker)) from error
        return self._receive(worker, until, stop)

    def _receive(self, worker: _Worker, until: float, stop: Callable[[], bool] | None) -> dict[str, Any]:
        stopped = False
        try:
            while not worker.link.poll(_POLL_S):
                if not stopped and stop is not None and stop():
                    # Most answers come soon, and a new worker takes seconds to start.
                    stopped, until = True, min(until, time.monotonic() + _STOP_GRACE_S)
                if time.monotonic() > until:
                    raise (
                        WorkerStoppedError("stopped by the caller")
                        if stopped
                        else WorkerTimeoutError("too slow")
                    )
            return decode(worker.link.recv_bytes())
        except (EOFError, OSError) as error:
            raise WorkerDiedError(_obituary(worker)) from error

    def _discard(self, worker: _Worker) -> None:
        worker.kill()
        with self._lock:
            self._all.discard(worker)
            closed = self._closed
        if not closed:
            log.warning(
                "worker replaced", handler=self._handler, pid=worker.process.pid, served=worker.served
            )


def _obituary(worker: _Worker) -> str:
    with contextlib.suppress(subprocess.TimeoutExpired):
        worker.process.wait(timeout=2.0)
    return f"the worker process ended (exit code {worker.process.returncode})"


def _environment(threads: int) -> dict[str, str]:
    count = str(threads)
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
    path = os.pathsep.join(entry for entry in sys.path if entry)
    return {**os.environ, **dict.fromkeys(names, count), "PYTHONPATH": path}
