"""Generator and oracle as the trainer calls them: messages in and out, patient while they are away."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np
import structlog
from numpy.typing import NDArray

from xenolith.client import Encoded, Options, Samples, generator_calls, oracle_calls, weight_calls
from xenolith.client.transport.calls import Answered, message_call
from xenolith.client.transport.endpoint import Endpoint
from xenolith.client.transport.replicas import replicas
from xenolith.client.transport.retry import AWAY, DOUBTFUL, ENDING, RetryPolicy
from xenolith.client.transport.service_async import AsyncService
from xenolith.contract.chunks import ReceivedWeights
from xenolith.crystal import CrystalBatch
from xenolith.v1 import generator_pb2, oracle_pb2

__all__ = ["Generator", "Oracle", "Services", "patience"]

log = structlog.get_logger(__name__)

R = TypeVar("R")

_TIMEOUT_S = 600.0


class Generator(AsyncService):
    """A generator service."""

    async def describe(self) -> generator_pb2.GeneratorServiceDescribeResponse:
        """Ask what is loaded."""
        return await self.call(generator_calls.describe())

    async def sample(self, request: generator_pb2.SampleRequest) -> Samples:
        """Sample; the result is in the order of the request."""
        return await self.call(generator_calls.sampling(request))

    async def encode(
        self, crystals: CrystalBatch, autoencoder_digest: str, return_embeddings: bool
    ) -> Encoded:
        """Give the latents of crystals, by this very autoencoder."""
        call = generator_calls.encode(
            crystals, return_embeddings=return_embeddings, expected_autoencoder_digest=autoencoder_digest
        )
        return await self.call(call)

    async def decode(
        self, latents: NDArray[np.float32], num_atoms: NDArray[np.int32], autoencoder_digest: str
    ) -> CrystalBatch:
        """Give the crystals of latents, finished as the generator does by default."""
        call = generator_calls.decode(latents, num_atoms.tolist(), autoencoder_digest=autoencoder_digest)
        return (await self.call(call)).crystals

    async def weights(self, policy_version: str = "") -> ReceivedWeights:
        """Read the weights of a version, verified; whichever is loaded by default."""
        return await self.call(weight_calls.get_weights(expected_policy_version=policy_version))

    async def push(
        self, header: generator_pb2.WeightsHeader, tensors: Mapping[str, NDArray[np.generic]]
    ) -> None:
        """Replace the policy of every replica behind the address: any of them may be asked to sample."""
        await self._on_each(lambda: weight_calls.uploading(header, tensors))

    async def replicas(self) -> int:
        """Count the replicas behind the address now, at least one."""
        return len(await replicas(self.address))

    async def describe_each(self) -> list[generator_pb2.GeneratorServiceDescribeResponse]:
        """Ask every replica behind the address what it has loaded."""
        return await self._on_each(generator_calls.describe)

    async def _on_each(self, call: Callable[[], Answered[R]]) -> list[R]:
        """Make a call to each replica; all anew where one is away, since others may have taken its place."""

        async def attempt() -> list[R]:
            found = await replicas(self.address)
            if len(found) == 1:
                return [await self._attempt(call())]
            answers = []
            for replica in found:
                endpoint, options = replica.endpoint(self._endpoint), replica.options(self._options)
                async with AsyncService(endpoint, options) as one:
                    answers.append(await one.call(call()))
            return answers

        return await self.repeat(attempt)


class Oracle(AsyncService):
    """An oracle service."""

    async def describe(self) -> oracle_pb2.OracleServiceDescribeResponse:
        """Ask what can be measured."""
        return await self.call(oracle_calls.describe())

    async def score(self, request: oracle_pb2.ScoreRequest) -> oracle_pb2.ScoreResponse:
        """Measure a batch."""
        return await self.call(message_call("Score", request, _TIMEOUT_S))

    async def submit(self, request: oracle_pb2.SubmitScoreRequest) -> oracle_pb2.Operation:
        """Have a batch measured that takes long."""
        answer = await self.call(message_call("SubmitScore", request, _TIMEOUT_S))
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
    timeout_s: float = _TIMEOUT_S
    """Deadline of a call, seconds."""

    @asynccontextmanager
    async def connect(self, run_name: str, retry: RetryPolicy) -> AsyncIterator[tuple[Generator, Oracle]]:
        """Open channels to both services; connecting happens at the first call.

        Parameters
        ----------
        run_name
            Run that the calls belong to; empty for none.
        retry
            For when a service is away; see `patience`.
        """
        # The policy decides about repetition, hence one attempt of gRPC's own.
        options = replace(self.options, attempts=1, run_id=run_name, timeout_s=self.timeout_s)
        async with (
            Generator(Endpoint(name="generator", address=self.generator), options, retry) as generator,
            Oracle(Endpoint(name="oracle", address=self.oracle), options, retry) as oracle,
        ):
            yield generator, oracle


def patience(
    limit_s: float,
    *,
    on_wait: Callable[[str], None] = lambda _: None,
    on_return: Callable[[], None] = lambda: None,
) -> RetryPolicy:
    """Return how a run waits for a service that is away: it outlives restarts of the services it calls.

    Every call of a run may be made again: sampling and scoring are functions of their request, and an update
    of weights replaces the same version by itself. Nobody cancels such a call, so one that was cancelled, or
    took too long, says that its service ended.

    Parameters
    ----------
    limit_s
        How long one absence may last, seconds.
    on_wait
        Told when an absence begins and while it lasts, in words for the user.
    on_return
        Told once the service answers again.
    """

    def waiting(words: str) -> None:
        log.warning(words)
        on_wait(words)

    def back() -> None:
        log.info("service is back")
        on_return()

    return RetryPolicy(
        limit_s=limit_s,
        away=(*AWAY, *ENDING),
        doubtful=DOUBTFUL,
        advice="start it again, then resume the run",
        on_wait=waiting,
        on_return=back,
    )
