"""Small real servicers, to see what the transport does and nothing else."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from xenolith.errors import FailedPreconditionError, FieldViolation, InvalidArgumentError
from xenolith.serving import request_id, run_id
from xenolith.v1 import oracle_pb2, oracle_pb2_grpc


class EchoOracle(oracle_pb2_grpc.OracleServiceServicer):
    """Answers with what reached it; misbehaves on demand, by the name of the calculator asked for."""

    def __init__(self) -> None:
        self.entered = asyncio.Event()
        self.release = asyncio.Event()
        self.calls = 0
        self.cancelled = asyncio.Event()

    async def Describe(self, request: Any, context: Any) -> Any:
        return oracle_pb2.OracleServiceDescribeResponse(service_version=request_id(), cache_backend=run_id())

    async def Score(self, request: Any, context: Any) -> Any:
        self.calls += 1
        mode = request.settings.calculator_id
        if mode == "invalid":
            violation = FieldViolation(field="crystals.numbers", description="has 3 entries, expected 2")
            raise InvalidArgumentError("columns disagree", violations=[violation])
        if mode == "precondition":
            raise FailedPreconditionError("policy is a, expected b")
        if mode == "bug":
            raise ZeroDivisionError("secret")
        if mode == "wait":
            self.entered.set()
            try:
                await self.release.wait()
            except asyncio.CancelledError:
                self.cancelled.set()
                raise
        scores = [oracle_pb2.StructureScore(message=str(n)) for n in request.crystals.num_atoms]
        return oracle_pb2.ScoreResponse(scores=scores)

    async def ScoreStream(self, requests: Any, context: Any) -> AsyncIterator[Any]:
        async for request in requests:
            yield oracle_pb2.ScoreStreamResponse(batch_id=request.batch_id)
        raise FailedPreconditionError("stream over")


@pytest.fixture
def echo() -> type[EchoOracle]:
    return EchoOracle
