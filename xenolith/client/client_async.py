"""The client for programs with an event loop."""

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, ClassVar, Self

from xenolith.client import generator_calls, operation_calls, oracle_calls, trainer_calls, weight_calls
from xenolith.client.client_shared import ClientBase
from xenolith.client.operations import AsyncOperationHandle
from xenolith.client.transport.service_async import Service, collect, iterate, open_channel, unary, upload

if TYPE_CHECKING:
    from xenolith.convert.items import CrystalsLike

__all__ = ["AsyncClient", "AsyncGeneratorClient", "AsyncOracleClient", "AsyncTrainerClient"]


class AsyncGeneratorClient(Service):
    """Samples crystals, and translates between crystals and latents."""

    describe = unary(generator_calls.describe)
    sample = collect(generator_calls.sample)
    iter_samples = iterate(generator_calls.iter_samples)
    encode = unary(generator_calls.encode)
    decode = unary(generator_calls.decode)
    update_weights = upload(weight_calls.update_weights)
    get_weights = collect(weight_calls.get_weights)


class AsyncOracleClient(Service):
    """Measures crystals."""

    describe = unary(oracle_calls.describe)
    score = unary(oracle_calls.score)
    get_operation = unary(operation_calls.get_operation)
    wait_operation = unary(operation_calls.wait_operation)
    cancel_operation = unary(operation_calls.cancel_operation)

    async def submit_score(self, crystals: "CrystalsLike", **how: Any) -> AsyncOperationHandle:
        """Start a scoring that may take hours, and return a handle on it at once.

        `how` is as for `score`, and ``priority`` (larger goes first), ``idempotency_key`` (submitting the
        same one again gives the same operation) and ``retention_s`` (how long the result is kept). Structures
        that cannot be sent are an error here: results are counted by their place in the submission.
        """
        return self._handle(await self._unary(operation_calls.submit_score(crystals, **how)))

    async def operation(self, operation_id: str) -> AsyncOperationHandle:
        """Return a handle on an operation that was submitted before, from here or elsewhere."""
        return self._handle(await self._unary(operation_calls.get_operation(operation_id)))

    def _handle(self, operation: operation_calls.Operation) -> AsyncOperationHandle:
        return AsyncOperationHandle(self, operation, self._options.reconnect_s)

    def score_stream(self, batches: AsyncIterator[Any], **how: Any) -> AsyncIterator[oracle_calls.Streamed]:
        """Score batches as they come; yields each result with its batch's index, in order of completion.

        `how` is as for `score`. A batch that cannot be scored yields its error and does not end the stream.
        """
        return self._exchange(oracle_calls.score_stream(_numbered(batches), **how))


async def _numbered(batches: AsyncIterator[Any]) -> AsyncIterator[tuple[int, Any]]:
    index = 0
    async for batch in batches:
        yield index, batch
        index += 1


class AsyncTrainerClient(Service):
    """Starts, watches and evaluates training runs."""

    start_run = unary(trainer_calls.start_run)
    get_run = unary(trainer_calls.get_run)
    list_runs = unary(trainer_calls.list_runs)
    watch_run = iterate(trainer_calls.watch_run)
    stop_run = unary(trainer_calls.stop_run)
    resume_run = unary(trainer_calls.resume_run)
    publish_policy = unary(trainer_calls.publish_policy)
    evaluate = collect(trainer_calls.evaluate)
    get_artifact = collect(trainer_calls.get_artifact)


class AsyncClient(ClientBase[AsyncGeneratorClient, AsyncOracleClient, AsyncTrainerClient]):
    """The three services, those of them that were given an address.

    Example
    -------
    >>> async with AsyncClient.connect(oracle="localhost:50052") as x:          # doctest: +SKIP
    ...     scores = await x.oracle.score("my_cifs/")
    """

    _kinds: ClassVar = {
        "generator": AsyncGeneratorClient,
        "oracle": AsyncOracleClient,
        "trainer": AsyncTrainerClient,
    }
    _open = staticmethod(open_channel)

    async def wait_ready(self, timeout_s: float = 60.0) -> None:
        """Return once all services say that they serve."""
        await asyncio.gather(*(service.wait_ready(timeout_s) for service in self._services.values()))

    async def close(self) -> None:
        """Close the connections; calls at work are cancelled."""
        for channel in self._channels:
            await channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
