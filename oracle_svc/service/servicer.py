"""The gRPC face of the oracle."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

from oracle_svc.pipeline.scorer import Scorer
from oracle_svc.pools.worker_pool import WorkerError, WorkerStoppedError
from oracle_svc.service.handler import ScoreHandler
from oracle_svc.service.merging import Merger, MergeSettings, is_over
from oracle_svc.service.operations import Operations, OperationSettings
from xenolith.errors import CancelledError, UnavailableError, UnimplementedError
from xenolith.serving import Stop, Worker, score_stream
from xenolith.serving.metric_sample import MetricSample
from xenolith.v1 import oracle_pb2, oracle_pb2_grpc

__all__ = ["OracleService"]

_NO_OPERATIONS = (
    "operations are not served by this oracle, which has no state folder (--state); use Score, or "
    "ScoreStream for many batches"
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
    operations
        Where and how operations are kept; None: they are not served.
    merging
        How calls of one structure are scored in common batches; None: each is scored by itself.
    """

    def __init__(
        self,
        scorer: Scorer,
        description: oracle_pb2.OracleServiceDescribeResponse,
        *,
        threads: int = 4,
        operations: OperationSettings | None = None,
        merging: MergeSettings | None = None,
    ) -> None:
        self._scorer, self._description = scorer, description
        self._handler = ScoreHandler(scorer, description)
        self._threads = threads
        self._worker = Worker("oracle", threads=threads)
        description.supports_operations = operations is not None
        self._merger = (
            None if merging is None else Merger(self._handler, self._worker, self._score_now, merging)
        )
        self._kept: Operations | None = None
        if operations is not None:
            self._kept = Operations(self._handler, operations)

    def metric_samples(self) -> Iterator[MetricSample]:
        """Return what it has done since it started, for `/metrics`."""
        yield from self._handler.metric_samples()
        yield from self._worker.metric_samples("xenolith_oracle")
        if self._kept:
            yield from self._kept.metric_samples()

    def close(self) -> None:
        """End the worker processes and close the cache."""
        self._scorer.resources.calculators.leave()
        self._worker.close()
        if self._kept:
            self._kept.close()
        self._scorer.close()

    async def drain(self) -> None:
        """Let calls that only wait answer now."""
        if self._kept:
            self._kept.drain()

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

        async def score(request: oracle_pb2.ScoreRequest) -> oracle_pb2.ScoreResponse:
            return await self._score(request, context.time_remaining())

        async for answer in score_stream(requests, score, at_once=self._threads):
            yield answer

    async def SubmitScore(
        self, request: oracle_pb2.SubmitScoreRequest, context: Any
    ) -> oracle_pb2.SubmitScoreResponse:
        """Queue a scoring and answer at once."""
        return await self._operations.submit(request)

    async def GetOperation(
        self, request: oracle_pb2.GetOperationRequest, context: Any
    ) -> oracle_pb2.GetOperationResponse:
        """Answer the state of an operation."""
        return await self._operations.get(request)

    async def WaitOperation(
        self, request: oracle_pb2.WaitOperationRequest, context: Any
    ) -> oracle_pb2.WaitOperationResponse:
        """Answer when an operation is done."""
        return await self._operations.wait(request, context.time_remaining())

    async def CancelOperation(
        self, request: oracle_pb2.CancelOperationRequest, context: Any
    ) -> oracle_pb2.CancelOperationResponse:
        """Ask an operation to stop."""
        return await self._operations.cancel(request)

    async def ListOperations(
        self, request: oracle_pb2.ListOperationsRequest, context: Any
    ) -> oracle_pb2.ListOperationsResponse:
        """Answer which operations there are."""
        return await self._operations.page(request)

    @property
    def _operations(self) -> Operations:
        if self._kept is None:
            raise UnimplementedError(_NO_OPERATIONS)
        return self._kept

    async def _score(
        self, request: oracle_pb2.ScoreRequest, remaining_s: float | None
    ) -> oracle_pb2.ScoreResponse:
        until = None if remaining_s is None else time.monotonic() + remaining_s
        if self._merger and self._merger.takes(request):
            answer = await self._merger.score(request, until)
            if answer is not None:
                return answer
        return await self._worker.run_stoppable(lambda stop: self._score_now(request, stop, until))

    def _score_now(
        self, request: oracle_pb2.ScoreRequest, stop: Stop, until: float | None
    ) -> oracle_pb2.ScoreResponse:
        """Score in a thread of the worker; end early when the call is cancelled or its time is up."""
        prepared = self._handler.prepare(request)
        try:
            scored = self._handler.score(prepared, lambda: is_over(stop, until))
        except WorkerStoppedError as error:
            raise CancelledError("the call was cancelled or its deadline passed") from error
        except WorkerError as error:
            raise UnavailableError(f"the calculator's processes do not work: {error}") from error
        return self._handler.answer(scored)
