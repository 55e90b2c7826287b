"""Generator and oracle as the trainer calls them: contract messages in, typed errors out."""

from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, TypeVar

import grpc
import grpc.aio
import numpy as np
from numpy.typing import NDArray

from trainer_svc.services.samples import Samples, assemble
from xenolith.client.transport.options import Options, channel_options, credentials
from xenolith.contract.chunks import ReceivedWeights, WeightsReceiver, send_weights
from xenolith.contract.errors import error_from_call
from xenolith.contract.metadata import RUN_ID_KEY
from xenolith.v1 import generator_pb2, generator_pb2_grpc, oracle_pb2, oracle_pb2_grpc

__all__ = ["Generator", "Oracle", "Services"]

T = TypeVar("T")
Metadata = tuple[tuple[str, str], ...]


class _Service:
    name: ClassVar[str]
    """What errors call it."""

    def __init__(self, address: str, channel: grpc.aio.Channel, metadata: Metadata, timeout_s: float) -> None:
        self._address, self._timeout, self._metadata = address, timeout_s, metadata
        self._bind(channel)

    def _bind(self, channel: grpc.aio.Channel) -> None:
        raise NotImplementedError

    @property
    def _options(self) -> dict[str, Any]:
        return {"timeout": self._timeout, "metadata": self._metadata}

    async def _typed(self, method: str, call: Awaitable[T]) -> T:
        try:
            return await call
        except grpc.aio.AioRpcError as error:
            raise error_from_call(error, service=self.name, address=self._address, method=method) from error


class Generator(_Service):
    """A generator service."""

    name = "generator"

    def _bind(self, channel: grpc.aio.Channel) -> None:
        self._stub = generator_pb2_grpc.GeneratorServiceStub(channel)

    async def describe(self) -> generator_pb2.GeneratorServiceDescribeResponse:
        """Ask what is loaded."""
        request = generator_pb2.GeneratorServiceDescribeRequest()
        return await self._typed("Describe", self._stub.Describe(request, **self._options))

    async def sample(self, request: generator_pb2.SampleRequest) -> Samples:
        """Sample; the result is in the order of the request."""

        async def collect() -> list[generator_pb2.SampleResponse]:
            return [message async for message in self._stub.Sample(request, **self._options)]

        messages = await self._typed("Sample", collect())
        return assemble(messages, len(request.num_atoms) or request.num_samples)

    async def weights(self, policy_version: str = "") -> ReceivedWeights:
        """Read the weights of a version, verified; whichever is loaded by default."""
        request = generator_pb2.GetWeightsRequest(
            kind=generator_pb2.WEIGHTS_KIND_FULL, expected_policy_version=policy_version
        )

        async def collect() -> ReceivedWeights:
            receiver = WeightsReceiver()
            async for message in self._stub.GetWeights(request, **self._options):
                receiver.add(message)
            return receiver.finish()

        return await self._typed("GetWeights", collect())

    async def push(
        self, header: generator_pb2.WeightsHeader, tensors: Mapping[str, NDArray[np.generic]]
    ) -> generator_pb2.UpdateWeightsResponse:
        """Replace the policy."""

        async def messages() -> AsyncIterator[generator_pb2.UpdateWeightsRequest]:
            for message in send_weights(generator_pb2.UpdateWeightsRequest, header, tensors):
                yield message

        return await self._typed("UpdateWeights", self._stub.UpdateWeights(messages(), **self._options))


class Oracle(_Service):
    """An oracle service."""

    name = "oracle"

    def _bind(self, channel: grpc.aio.Channel) -> None:
        self._stub = oracle_pb2_grpc.OracleServiceStub(channel)

    async def describe(self) -> oracle_pb2.OracleServiceDescribeResponse:
        """Ask what can be measured."""
        request = oracle_pb2.OracleServiceDescribeRequest()
        return await self._typed("Describe", self._stub.Describe(request, **self._options))

    async def score(self, request: oracle_pb2.ScoreRequest) -> oracle_pb2.ScoreResponse:
        """Measure a batch."""
        return await self._typed("Score", self._stub.Score(request, **self._options))

    async def submit(self, request: oracle_pb2.SubmitScoreRequest) -> oracle_pb2.Operation:
        """Have a batch measured that takes long."""
        answer = await self._typed("SubmitScore", self._stub.SubmitScore(request, **self._options))
        return answer.operation

    async def wait(self, request: oracle_pb2.WaitOperationRequest) -> oracle_pb2.Operation:
        """Wait for its end, or for as long as the request says."""
        answer = await self._typed("WaitOperation", self._stub.WaitOperation(request, **self._options))
        return answer.operation


@dataclass(frozen=True, kw_only=True)
class Services:
    """Where generator and oracle are, and how they are reached."""

    generator: str
    """``host:port``."""
    oracle: str
    """``host:port``."""
    options: Options = field(default_factory=Options)
    """Security, the same for both."""
    timeout_s: float = 600.0
    """Deadline of a call, seconds."""

    @asynccontextmanager
    async def connect(self, run_name: str = "") -> AsyncIterator[tuple[Generator, Oracle]]:
        """Open channels to both services; connecting happens at the first call."""
        async with self._channel(self.generator) as generator, self._channel(self.oracle) as oracle:
            yield (
                Generator(self.generator, generator, self._metadata(run_name), self.timeout_s),
                Oracle(self.oracle, oracle, self._metadata(run_name), self.timeout_s),
            )

    def _channel(self, address: str) -> grpc.aio.Channel:
        # The trainer's own patience decides about repetition, hence one attempt.
        options = channel_options(replace(self.options, attempts=1), address)
        secrets = credentials(self.options)
        if secrets is None:
            return grpc.aio.insecure_channel(address, options=options)
        return grpc.aio.secure_channel(address, secrets, options=options)

    def _metadata(self, run_name: str) -> tuple[tuple[str, str], ...]:
        run = ((RUN_ID_KEY, run_name),) if run_name else ()
        return (*run, ("authorization", f"Bearer {self.options.token}")) if self.options.token else run
