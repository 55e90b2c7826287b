"""The gRPC face of the oracle."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import structlog

from oracle_svc.messages import crystals_of, options_of, response_of
from oracle_svc.pool import WorkerError, WorkerStoppedError
from oracle_svc.scoring import Scorer
from xenolith.errors import (
    CancelledError,
    FailedPreconditionError,
    InternalError,
    UnavailableError,
    UnimplementedError,
    XenolithError,
    invalid_field,
)
from xenolith.serving import Stop, Worker
from xenolith.v1 import oracle_pb2, oracle_pb2_grpc

__all__ = ["OracleService"]

log = structlog.get_logger(__name__)
_NO_OPERATIONS = (
    "operations are not served by this oracle: its calculator takes seconds; use Score, or ScoreStream for "
    "many batches"
)


class OracleService(oracle_pb2_grpc.OracleServiceServicer):
    """Serves a `Scorer`.

    Parameters
    ----------
    scorer
        The pipeline; the service closes it.
    description
        Answer to Describe.
    threads
        Batches scored side by side.
    """

    def __init__(
        self, scorer: Scorer, description: oracle_pb2.OracleServiceDescribeResponse, *, threads: int = 4
    ) -> None:
        self._scorer = scorer
        self._description = description
        self._threads = threads
        self._worker = Worker("oracle", threads=threads)

    def close(self) -> None:
        """End the worker processes and close the cache."""
        self._worker.close()
        self._scorer.close()

    async def Describe(self, request: Any, context: Any) -> oracle_pb2.OracleServiceDescribeResponse:
        """Answer what can be measured."""
        return self._description

    async def Score(self, request: oracle_pb2.ScoreRequest, context: Any) -> oracle_pb2.ScoreResponse:
        """Score a batch."""
        return await self._score(request, context.time_remaining())

    async def ScoreStream(
        self, requests: AsyncIterator[oracle_pb2.ScoreStreamRequest], context: Any
    ) -> AsyncIterator[oracle_pb2.ScoreStreamResponse]:
        """Score batches as they come; a new one is read when there is room for it."""
        pending: set[asyncio.Task[Any]] = set()
        reader: asyncio.Task[Any] | None = asyncio.create_task(_next(requests))
        try:
            while reader is not None or pending:
                room = reader is not None and len(pending) < self._threads
                waiting = pending | {reader} if room and reader else pending
                done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                if reader in done:
                    item = reader.result()
                    reader = None if item is None else asyncio.create_task(_next(requests))
                    if item is not None:
                        pending.add(asyncio.create_task(self._answer(item, context.time_remaining())))
                for task in done & pending:
                    pending.discard(task)
                    yield task.result()
        finally:
            for task in pending | ({reader} if reader else set()):
                task.cancel()

    async def SubmitScore(self, request: Any, context: Any) -> Any:
        """Refuse: say what to use instead."""
        raise UnimplementedError(_NO_OPERATIONS)

    async def GetOperation(self, request: Any, context: Any) -> Any:
        """Refuse: say what to use instead."""
        raise UnimplementedError(_NO_OPERATIONS)

    async def WaitOperation(self, request: Any, context: Any) -> Any:
        """Refuse: say what to use instead."""
        raise UnimplementedError(_NO_OPERATIONS)

    async def CancelOperation(self, request: Any, context: Any) -> Any:
        """Refuse: say what to use instead."""
        raise UnimplementedError(_NO_OPERATIONS)

    async def _score(
        self, request: oracle_pb2.ScoreRequest, remaining_s: float | None
    ) -> oracle_pb2.ScoreResponse:
        until = None if remaining_s is None else time.monotonic() + remaining_s
        return await self._worker.run_stoppable(lambda stop: self._score_now(request, stop, until))

    async def _answer(
        self, item: oracle_pb2.ScoreStreamRequest, remaining_s: float | None
    ) -> oracle_pb2.ScoreStreamResponse:
        """Answer one batch of a stream; an error is its answer and leaves the stream alone."""
        try:
            response = await self._score(item.request, remaining_s)
        except XenolithError as error:
            return oracle_pb2.ScoreStreamResponse(batch_id=item.batch_id, error=_as_message(error))
        except Exception:  # the stream's other batches are not to pay for a fault of ours
            log.exception("batch failed", batch_id=item.batch_id)
            hidden = InternalError("a fault in the service; its log has the rest")
            return oracle_pb2.ScoreStreamResponse(batch_id=item.batch_id, error=_as_message(hidden))
        return oracle_pb2.ScoreStreamResponse(batch_id=item.batch_id, response=response)

    def _score_now(
        self, request: oracle_pb2.ScoreRequest, stop: Stop, until: float | None
    ) -> oracle_pb2.ScoreResponse:
        """Score in a thread of the worker; end early when the call is cancelled or its time is up."""
        self._check(request)
        options = options_of(request)
        digest = self._scorer.provenance(options).settings_digest
        if request.expected_settings_digest not in {"", digest}:
            raise FailedPreconditionError(
                f"this oracle scores with settings {digest}, not {request.expected_settings_digest}: "
                "a run is to stay on one scale; start a new run, or use the oracle of before"
            )
        batch, refused = crystals_of(request.crystals, "crystals")
        try:
            scored = self._scorer.score(batch, options, stop=lambda: _over(stop, until), refused=refused)
        except WorkerStoppedError as error:
            raise CancelledError("the call was cancelled or its deadline passed") from error
        except WorkerError as error:
            raise UnavailableError(f"the calculator's processes do not work: {error}") from error
        return response_of(scored, self._description.service_version)

    def _check(self, request: oracle_pb2.ScoreRequest) -> None:
        most = self._description.max_batch
        count = len(request.crystals.num_atoms)
        if count > most:
            raise invalid_field(
                "crystals.num_atoms",
                f"holds {count} structures, more than {most}; send them in several requests",
            )
        settings = request.settings
        serves = self._description.calculators[0].id
        if settings.calculator_id not in {"", serves}:
            raise FailedPreconditionError(
                f"this oracle's calculator is {serves}, not {settings.calculator_id}"
            )


async def _next(
    requests: AsyncIterator[oracle_pb2.ScoreStreamRequest],
) -> oracle_pb2.ScoreStreamRequest | None:
    return await anext(aiter(requests), None)


def _over(stop: Stop, until: float | None) -> bool:
    return stop.is_set() or (until is not None and time.monotonic() > until)


def _as_message(error: XenolithError) -> oracle_pb2.OperationError:
    return oracle_pb2.OperationError(
        code=error.code.value[0],
        message=error.message,
        field_violations={violation.field: violation.description for violation in error.violations},
    )
