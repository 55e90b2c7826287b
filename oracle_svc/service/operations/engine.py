"""Works on operations: one at a time in each of a few threads, from the queue on disk."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog

from oracle_svc.pools.worker_pool import WorkerError, WorkerStoppedError
from oracle_svc.service.handler import ScoreHandler
from oracle_svc.service.operations.journal import OperationJournal
from oracle_svc.service.operations.owners import Owner
from oracle_svc.service.operations.rows import OperationRow, State
from oracle_svc.service.operations.store import OperationStore
from xenolith.contract.errors import operation_error
from xenolith.errors import InternalError, UnavailableError, XenolithError
from xenolith.v1 import oracle_pb2

__all__ = ["OperationEngine", "OperationSettings"]

log = structlog.get_logger(__name__)

_IDLE_S = 1.0
"""How often an idle thread looks for what other processes left behind."""
_LOOK_S = 1.0
"""How often a busy one looks whether another process was asked to stop it."""
_ATTEMPTS = 5
_TAKEN_UP = "the oracle ended while it worked on this and went on after its restart"


@dataclass(frozen=True, kw_only=True)
class OperationSettings:
    """How operations are kept and worked on."""

    folder: Path
    """State folder; what it holds survives the process."""
    at_once: int = 2
    """Operations worked on side by side."""
    most: int = 256
    """Unfinished operations; more are refused."""
    retention_s: float = 7 * 86400.0
    """How long a result is kept unless the request says otherwise, seconds."""
    retry_after_s: float = 30.0
    """When a refused caller is to come again, seconds."""


class OperationEngine:
    """Threads that work on what is in the store.

    Parameters
    ----------
    store
        The queue.
    owner
        This process.
    handler
        Checks and scores requests.
    at_once
        Number of threads.
    """

    def __init__(self, store: OperationStore, owner: Owner, handler: ScoreHandler, *, at_once: int) -> None:
        self._store, self._owner, self._handler = store, owner, handler
        self._closing = threading.Event()
        self._wake = threading.Condition()
        self._told_to_stop: set[str] = set()
        self._threads = [
            threading.Thread(target=self._work, name=f"operation-{number}", daemon=True)
            for number in range(at_once)
        ]

    def start(self) -> None:
        """Begin, with what an earlier process left behind."""
        self._inherit()
        for thread in self._threads:
            thread.start()

    def wake(self) -> None:
        """Look at the queue now."""
        with self._wake:
            self._wake.notify_all()

    def cancel(self, operation: str) -> None:
        """Stop an operation: at once if it waits, within a portion of work if this process works on it."""
        self._store.ask_to_stop(operation)
        self._told_to_stop.add(operation)
        waiting = self._store.claim(self._handler.scale, self._owner.id, operation)
        if waiting is not None:
            self._complete(waiting)

    def partial(self, row: OperationRow) -> oracle_pb2.ScoreResponse:
        """Scores of what is finished by now; the rest is SKIPPED."""
        prepared = self._handler.prepare(_request(row))
        journal = OperationJournal(self._store, row.id, closed=True)
        return self._handler.answer(self._handler.score(prepared, lambda: False, journal))

    def close(self, timeout_s: float = 10.0) -> None:
        """Stop working; what is unfinished goes back into the queue."""
        self._closing.set()
        self.wake()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(timeout_s)

    def _work(self) -> None:
        while not self._closing.is_set():
            row = self._store.claim(self._handler.scale, self._owner.id)
            if row is not None:
                self._complete(row)
                continue
            self._inherit()
            with self._wake:
                self._wake.wait(_IDLE_S)

    def _inherit(self) -> None:
        """Put back into the queue what processes that have ended were working on."""
        for owner in self._store.owners():
            if self._owner.is_gone(owner):
                for operation in self._store.release(owner, warning=_TAKEN_UP):
                    log.warning("operation goes on after a restart", operation=operation)
        self._store.forget_expired()

    def _complete(self, row: OperationRow) -> None:
        """Work on an operation to its end, whatever that is."""
        try:
            if row.attempts > _ATTEMPTS:
                raise InternalError(
                    f"the oracle's process ended {_ATTEMPTS} times while it worked on this, without progress"
                )
            self._finish(row)
        except XenolithError as error:
            self._fail(row, error)
        except WorkerError as error:
            if self._closing.is_set():
                self._store.put_back(row.id)
                return
            self._fail(row, UnavailableError(f"the calculator's processes do not work: {error}"))
        except Exception:  # the thread goes on with the next operation
            log.exception("operation failed", operation=row.id)
            self._fail(row, InternalError("a fault in the service; its log has the rest"))
        finally:
            self._told_to_stop.discard(row.id)

    def _finish(self, row: OperationRow) -> None:
        prepared = self._handler.prepare(_request(row))
        journal = OperationJournal(
            self._store, row.id, on_progress=lambda done: self._store.progress(row.id, done)
        )
        state = State.SUCCEEDED
        try:
            if row.cancel:
                raise WorkerStoppedError("stopped before it began")
            scored = self._handler.score(prepared, self._stop_of(row.id), journal)
        except WorkerStoppedError:
            if self._closing.is_set():
                self._store.put_back(row.id)
                return
            state = State.CANCELLED
            kept = OperationJournal(self._store, row.id, closed=True)
            scored = self._handler.score(prepared, lambda: False, kept)
        self._store.finish(row.id, state, response=self._handler.answer(scored).SerializeToString())
        log.info("operation ended", operation=row.id, state=state.name, structures=row.total)

    def _fail(self, row: OperationRow, error: XenolithError) -> None:
        self._store.finish(row.id, State.FAILED, error=operation_error(error).SerializeToString())
        log.warning("operation failed", operation=row.id, reason=str(error))

    def _stop_of(self, operation: str) -> Callable[[], bool]:
        """Whether to stop: asked often, so the store is looked at now and then only."""
        looked = time.monotonic()

        def stop() -> bool:
            nonlocal looked
            if self._closing.is_set() or operation in self._told_to_stop:
                return True
            if time.monotonic() - looked > _LOOK_S:
                looked = time.monotonic()
                if self._store.is_to_stop(operation):
                    self._told_to_stop.add(operation)
                    return True
            return False

        return stop


def _request(row: OperationRow) -> oracle_pb2.ScoreRequest:
    return oracle_pb2.ScoreRequest.FromString(row.request)
