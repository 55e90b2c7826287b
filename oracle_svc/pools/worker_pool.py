"""Worker processes that may hang, crash or be killed without taking anyone along.

Each worker is a fresh interpreter (never a fork: gRPC threads do not survive one) that builds one handler
and answers requests, one at a time, over a socket pair. Requests and answers are records of `codec`. A
worker that dies or exceeds its time limit is killed, and another takes its place on the next request.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import structlog

from oracle_svc.codec import encode
from oracle_svc.environments.interpreter import Interpreter
from oracle_svc.pools.worker_process import (
    PoolClosedError,
    WorkerDiedError,
    WorkerError,
    WorkerProcess,
    WorkerStoppedError,
    WorkerTimeoutError,
)

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

log = structlog.get_logger(__name__)


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
    interpreter
        Python of the workers; None: the one that runs this.
    """

    def __init__(
        self,
        *,
        handler: str,
        options: Mapping[str, Any] | None = None,
        size: int = 1,
        threads: int = 1,
        interpreter: Interpreter | None = None,
    ) -> None:
        if size < 1:
            raise ValueError(f"a pool needs at least one worker, not {size}")
        self.size = size
        self._handler = handler
        self._options = encode(dict(options or {}))
        self._threads = threads
        self._interpreter = interpreter
        self._closed = False
        self._lock = threading.Lock()
        self._all: set[WorkerProcess] = set()
        self._idle: queue.LifoQueue[WorkerProcess | None] = queue.LifoQueue()
        for _ in range(size):
            self._idle.put(None)

    def warm_up(self) -> None:
        """Start every worker and wait until it has built its handler.

        Raises
        ------
        WorkerError
            A worker ended before it was ready; what it printed is in the log.
        """
        slots = [self._idle.get() for _ in range(self.size)]
        workers: list[WorkerProcess | None] = [
            slot if slot is not None and slot.alive() else None for slot in slots
        ]
        try:
            workers = [worker or self._start() for worker in workers]
            for index, worker in enumerate(workers):
                if worker is not None:
                    worker.await_ready(time.monotonic() + _START_LIMIT_S, None, index)
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
            answer = worker.exchange(encode(request), time.monotonic() + time_limit_s, stop)
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

    def _ready_worker(self, stop: Callable[[], bool] | None) -> WorkerProcess:
        """Take a worker that has built its handler; one that dies before is no request's fault."""
        for attempt in range(1, _START_ATTEMPTS + 1):
            worker = self._checkout(stop)
            ready = False
            try:
                worker.await_ready(time.monotonic() + _START_LIMIT_S, stop)
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

    def _put_back(self, worker: WorkerProcess, *, healthy: bool) -> None:
        if not healthy:
            self._discard(worker)
        self._idle.put(worker if healthy else None)

    def _checkout(self, stop: Callable[[], bool] | None) -> WorkerProcess:
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

    def _start(self) -> WorkerProcess:
        worker = WorkerProcess.start(self._handler, self._threads, self._interpreter or Interpreter.this())
        with self._lock:
            if self._closed:
                worker.kill()
                raise PoolClosedError("the worker pool is closed")
            self._all.add(worker)
        worker.link.send_bytes(self._options)
        return worker

    def _discard(self, worker: WorkerProcess) -> None:
        worker.kill()
        with self._lock:
            self._all.discard(worker)
            closed = self._closed
        if not closed:
            log.warning(
                "worker replaced", handler=self._handler, pid=worker.process.pid, served=worker.served
            )
