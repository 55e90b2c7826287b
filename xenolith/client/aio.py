"""The client for programs with an event loop."""

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, ClassVar, Self

from xenolith.client import _generator, _operations, _oracle, _trainer, _weights
from xenolith.client._aio import Service, collect, iterate, open_channel, unary, upload
from xenolith.client._base import ClientBase
from xenolith.client.operations import AsyncOperationHandle

if TYPE_CHECKING:
    from xenolith.convert.items import CrystalsLike

__all__ = ["AsyncClient", "AsyncGeneratorClient", "AsyncOracleClient", "AsyncTrainerClient"]


class AsyncGeneratorClient(Service):
    """Samples crystals, and translates between crystals and latents."""

    describe = unary(_generator.describe)
    sample = collect(_generator.sample)
    iter_samples = iterate(_generator.iter_samples)
    encode = unary(_generator.encode)
    decode = unary(_generator.decode)
    update_weights = upload(_weights.update_weights)
    get_weights = collect(_weights.get_weights)


class AsyncOracleClient(Service):
    """Measures crystals."""

    describe = unary(_oracle.describe)
    score = unary(_oracle.score)
    get_operation = unary(_operations.get_operation)
    wait_operation = unary(_operations.wait_operation)
    cancel_operation = unary(_operations.cancel_operation)

    async def submit_score(self, crystals: "CrystalsLike", **how: Any) -> AsyncOperationHandle:
        """Start a scoring that may take hours, and return a handle on it at once.

        `how` is as for `score`, and ``priority`` (larger goes first), ``idempotency_key`` (submitting the
        same one again gives the same operation) and ``retention_s`` (how long the result is kept). Structures
        that cannot be sent are an error here: results are counted by their place in the submission.
        """
        return self._handle(await self._unary(_operations.submit_score(crystals, **how)))

    async def operation(self, operation_id: str) -> AsyncOperationHandle:
        """Return a handle on an operation that was submitted before, from here or elsewhere."""
        return self._handle(await self._unary(_operations.get_operation(operation_id)))

    def _handle(self, operation: _operations.Operation) -> AsyncOperationHandle:
        return AsyncOperationHandle(self, operation, self._options.reconnect_s)

    def score_stream(self, batches: AsyncIterator[Any], **how: Any) -> AsyncIterator[_oracle.Streamed]:
        """Score batches as they come; yields each result with its batch's index, in order of completion.

        `how` is as for `score`. A batch that cannot be scored yields its error and does not end the stream.
        """
        return self._exchange(_oracle.score_stream(_numbered(batches), **how))


async def _numbered(batches: AsyncIterator[Any]) -> AsyncIterator[tuple[int, Any]]:
    index = 0
    async for batch in batches:
        yield index, batch
        index += 1


class AsyncTrainerClient(Service):
    """Starts, watches and evaluates training runs."""

    start_run = unary(_trainer.start_run)
    get_run = unary(_trainer.get_run)
    list_runs = unary(_trainer.list_runs)
    watch_run = iterate(_trainer.watch_run)
    stop_run = unary(_trainer.stop_run)
    resume_run = unary(_trainer.resume_run)
    evaluate = collect(_trainer.evaluate)
    get_artifact = collect(_trainer.get_artifact)


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
