"""The calls about operations, as the service answers them."""

from __future__ import annotations

import asyncio
import hashlib
import time
import uuid
from collections.abc import Iterator

from oracle_svc.service.handler import ScoreHandler
from oracle_svc.service.operations.engine import OperationEngine, OperationSettings
from oracle_svc.service.operations.owners import Owner
from oracle_svc.service.operations.rows import OperationRow, State
from oracle_svc.service.operations.store import OperationStore, QueueFullError
from xenolith.contract.bounds import check_bounded
from xenolith.errors import AlreadyExistsError, NotFoundError, OverloadedError, invalid_field
from xenolith.serving import Worker
from xenolith.serving.metric_sample import MetricSample
from xenolith.v1 import oracle_pb2

__all__ = ["Operations"]

_LONGEST_KEY = 256
_PAGE, _LARGEST_PAGE = 100, 1000
_FIRST_LOOK_S = 0.05
_LONGEST_LOOK_S = 0.5
_BEFORE_DEADLINE_S = 0.5
"""A call without a timeout of its own answers so long before its deadline, so that the answer arrives."""


class Operations:
    """Answers SubmitScore, GetOperation, WaitOperation, CancelOperation and ListOperations.

    Parameters
    ----------
    handler
        Checks and scores requests.
    settings
        Where and how operations are kept.

    Raises
    ------
    ValueError
        The state folder cannot be used.
    """

    def __init__(self, handler: ScoreHandler, settings: OperationSettings) -> None:
        self._handler, self._settings = handler, settings
        self._oracle, self._calculator = handler.scale, handler.description.calculators[0].id
        self._store = OperationStore(settings.folder / "operations.db")
        self._owner = Owner(settings.folder / "owners")
        self._engine = OperationEngine(self._store, self._owner, handler, at_once=settings.at_once)
        self._worker = Worker("operation calls", threads=4)
        self._draining = asyncio.Event()
        self._engine.start()

    def drain(self) -> None:
        """Let waiting calls answer now: the service is about to end."""
        self._draining.set()

    def metric_samples(self) -> Iterator[MetricSample]:
        """Return how many operations there are in each state."""
        counts = self._store.counts()
        for state in State:
            yield MetricSample(
                name="xenolith_oracle_operations",
                help="Operations kept in the state folder, by state.",
                value=counts.get(state, 0),
                labels={"state": state.name},
                kind="gauge",
            )

    def close(self) -> None:
        """Stop working; what is unfinished stays in the queue."""
        self._worker.close()
        self._engine.close()
        self._store.close()
        self._owner.close()

    async def submit(self, request: oracle_pb2.SubmitScoreRequest) -> oracle_pb2.SubmitScoreResponse:
        """Check the request as Score does, and queue it."""
        operation = await self._worker.run(self._submit, request)
        return oracle_pb2.SubmitScoreResponse(operation=operation)

    async def get(self, request: oracle_pb2.GetOperationRequest) -> oracle_pb2.GetOperationResponse:
        """Answer the state of an operation."""
        operation = await self._worker.run(self._get, request.operation_id, request.include_partial_results)
        return oracle_pb2.GetOperationResponse(operation=operation)

    async def wait(
        self, request: oracle_pb2.WaitOperationRequest, remaining_s: float | None
    ) -> oracle_pb2.WaitOperationResponse:
        """Answer when the operation is done, its caller's patience ends, or the service does."""
        until = _until(request, remaining_s)
        pause = _FIRST_LOOK_S
        while True:
            row = await self._worker.run(self._row, request.operation_id)
            left = None if until is None else until - time.monotonic()
            if row.state.done or self._draining.is_set() or (left is not None and left <= 0):
                return oracle_pb2.WaitOperationResponse(operation=self._message(row))
            try:
                await asyncio.wait_for(self._draining.wait(), pause if left is None else min(pause, left))
            except TimeoutError:
                pause = min(_LONGEST_LOOK_S, 1.5 * pause)

    async def cancel(self, request: oracle_pb2.CancelOperationRequest) -> oracle_pb2.CancelOperationResponse:
        """Ask an operation to stop."""
        operation = await self._worker.run(self._cancel, request.operation_id)
        return oracle_pb2.CancelOperationResponse(operation=operation)

    async def page(self, request: oracle_pb2.ListOperationsRequest) -> oracle_pb2.ListOperationsResponse:
        """Answer a page of operations."""
        return await self._worker.run(self._list, request)

    def _list(self, request: oracle_pb2.ListOperationsRequest) -> oracle_pb2.ListOperationsResponse:
        check_bounded(request, characters=_LONGEST_KEY)
        if not 0 <= request.page_size <= _LARGEST_PAGE:
            raise invalid_field("page_size", f"is {request.page_size}; give 1 to {_LARGEST_PAGE}, or none")
        try:
            states = [State(number) for number in request.states] or list(State)
        except ValueError as error:
            raise invalid_field("states", str(error)) from error
        size = request.page_size or _PAGE
        try:
            rows = self._store.listed(states, most=size + 1, before=request.page_token)
        except KeyError:
            raise invalid_field(
                "page_token", "is none of ListOperations, or its operation has expired"
            ) from None
        page = rows[:size]
        return oracle_pb2.ListOperationsResponse(
            operations=[self._message(row) for row in page],
            next_page_token=page[-1].id if len(rows) > size else "",
        )

    def _submit(self, request: oracle_pb2.SubmitScoreRequest) -> oracle_pb2.Operation:
        check_bounded(request, characters=_LONGEST_KEY, leave=("request",))
        retention_s = self._settings.retention_s
        if request.HasField("retention"):
            retention_s = request.retention.ToNanoseconds() / 1e9
            if retention_s <= 0:
                raise invalid_field("retention", f"is {retention_s:g} s; give a positive one, or none")
            most = self._handler.description.limits
            if "retention" in most and retention_s > most["retention"]:
                raise invalid_field("retention", f"is {retention_s:g} s, more than {most['retention']:g} s")
        prepared = self._handler.prepare(request.request)
        content = request.request.SerializeToString(deterministic=True)
        row = OperationRow(
            id=uuid.uuid4().hex,
            digest=hashlib.sha256(content).hexdigest(),
            oracle=self._oracle,
            calculator=self._calculator,
            retention_s=retention_s,
            request=content,
            state=State.QUEUED,
            done=0,
            total=len(prepared.crystals),
            created=time.time(),
            started=None,
            ended=None,
            expires=None,
            cancel=False,
            attempts=0,
            response=None,
            error=None,
            warnings=(),
        )
        key = request.idempotency_key or None
        try:
            stored = self._store.submit(row, key=key, priority=request.priority, most=self._settings.most)
        except QueueFullError as error:
            wait_s = self._settings.retry_after_s
            raise OverloadedError(f"{error}; come again in {wait_s:g} s", retry_after_s=wait_s) from error
        if stored.digest != row.digest:
            raise AlreadyExistsError(
                f"idempotency_key {key!r} belongs to operation {stored.id}, which has another request; "
                "give each request a key of its own"
            )
        self._engine.wake()
        return self._message(stored)

    def _get(self, operation: str, partial: bool) -> oracle_pb2.Operation:
        row = self._row(operation)
        message = self._message(row)
        if partial and not row.state.done and row.oracle == self._oracle:
            message.response.CopyFrom(self._engine.partial(row))
        return message

    def _cancel(self, operation: str) -> oracle_pb2.Operation:
        if not self._row(operation).state.done:
            self._engine.cancel(operation)
        return self._message(self._row(operation))

    def _row(self, operation: str) -> OperationRow:
        row = self._store.get(operation)
        if row is None:
            raise NotFoundError(
                f"no operation {operation!r}: never submitted to this oracle, or its result has expired"
            )
        return row

    def _message(self, row: OperationRow) -> oracle_pb2.Operation:
        message = row.message()
        if row.oracle != self._oracle and not row.state.done:
            message.warnings.append(
                f"it waits for an oracle of {row.calculator} with the settings it was submitted to; "
                f"this one is {self._calculator} with other settings"
            )
        return message


def _until(request: oracle_pb2.WaitOperationRequest, remaining_s: float | None) -> float | None:
    """When to answer at the latest, on the monotonic clock; None for never."""
    limits = []
    if request.HasField("timeout"):
        limits.append(max(0.0, request.timeout.ToNanoseconds() / 1e9))
    if remaining_s is not None:
        limits.append(max(0.0, remaining_s - min(_BEFORE_DEADLINE_S, 0.1 * remaining_s)))
    return time.monotonic() + min(limits) if limits else None
