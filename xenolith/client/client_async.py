"""The client for programs with an event loop."""

import asyncio
import functools
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any, ClassVar, Concatenate, ParamSpec, Self, TypeVar

from xenolith.client import generator_calls, operation_calls, oracle_calls, trainer_calls, weight_calls
from xenolith.client.client_shared import ClientBase, HandleBase
from xenolith.client.results.operations import Operation
from xenolith.client.results.scores import Scores
from xenolith.client.transport.calls import Answered, Iterate
from xenolith.client.transport.service_async import AsyncService

if TYPE_CHECKING:
    from xenolith.convert.items import CrystalsLike

__all__ = [
    "AsyncClient",
    "AsyncGeneratorClient",
    "AsyncOperationHandle",
    "AsyncOracleClient",
    "AsyncTrainerClient",
]

P = ParamSpec("P")
R = TypeVar("R")


def _call(build: Callable[P, Answered[R]]) -> Callable[Concatenate[Any, P], Awaitable[R]]:
    """Return the method that makes the call `build` gives."""

    @functools.wraps(build)
    def method(self: AsyncService, *args: P.args, **kwargs: P.kwargs) -> Awaitable[R]:
        return self.call(build(*args, **kwargs))

    return method  # type: ignore[return-value]  # wraps() shows the checker no self


def _stream(build: Callable[P, Iterate[R]]) -> Callable[Concatenate[Any, P], AsyncIterator[R]]:
    """Return the method that yields the answers to the call `build` gives."""

    @functools.wraps(build)
    def method(self: AsyncService, *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[R]:
        return self.stream(build(*args, **kwargs))

    return method  # type: ignore[return-value]  # wraps() shows the checker no self


class AsyncGeneratorClient(AsyncService):
    """Samples crystals, and translates between crystals and latents."""

    describe = _call(generator_calls.describe)
    sample = _call(generator_calls.sample)
    iter_samples = _stream(generator_calls.iter_samples)
    encode = _call(generator_calls.encode)
    decode = _call(generator_calls.decode)
    update_weights = _call(weight_calls.update_weights)
    get_weights = _call(weight_calls.get_weights)


class AsyncOperationHandle(HandleBase):
    """A scoring at work in the oracle; as `OperationHandle`, for an event loop."""

    async def refresh(self, *, partial: bool = False) -> Operation:
        """Ask for its state now, with `partial` also for what is finished of it."""
        self.operation = await self._client.get_operation(self.id, partial=partial)
        return self.operation

    async def progress(self, timeout_s: float = math.inf) -> AsyncIterator[Operation]:
        """Yield its state now and every few seconds until it is done, over restarts of the oracle.

        Raises
        ------
        DeadlineError
            It is not done after `timeout_s` seconds; it goes on all the same.
        """
        async for now in self._client.follow(self._following(timeout_s)):
            yield self._seen(now)

    async def wait(self, timeout_s: float = math.inf) -> Scores:
        """Return its scores once it is done; of a cancelled one, those that were measured.

        Raises
        ------
        DeadlineError
            It is not done after `timeout_s` seconds; it goes on all the same.
        XenolithError
            It failed.
        """
        async for _ in self.progress(timeout_s):
            pass
        return self._result()

    async def cancel(self) -> Operation:
        """Ask it to stop; what is measured stays."""
        self.operation = await self._client.cancel_operation(self.id)
        return self.operation


class AsyncOracleClient(AsyncService):
    """Measures crystals."""

    describe = _call(oracle_calls.describe)
    score = _call(oracle_calls.score)
    get_operation = _call(operation_calls.get_operation)
    wait_operation = _call(operation_calls.wait_operation)
    cancel_operation = _call(operation_calls.cancel_operation)
    list_operations = _call(operation_calls.list_operations)

    async def submit_score(self, crystals: "CrystalsLike", **how: Any) -> AsyncOperationHandle:
        """Start a scoring that may take hours, and return a handle on it at once.

        `how` is as for `score`, and ``priority`` (larger goes first), ``idempotency_key`` (submitting the
        same one again gives the same operation) and ``retention_s`` (how long the result is kept). Structures
        that cannot be sent are an error here: results are counted by their place in the submission.
        """
        return self._handle(await self.call(operation_calls.submit_score(crystals, **how)))

    async def operation(self, operation_id: str) -> AsyncOperationHandle:
        """Return a handle on an operation that was submitted before, from here or elsewhere."""
        return self._handle(await self.call(operation_calls.get_operation(operation_id)))

    def _handle(self, operation: Operation) -> AsyncOperationHandle:
        return AsyncOperationHandle(self, operation)

    def score_stream(self, batches: AsyncIterator[Any], **how: Any) -> AsyncIterator[oracle_calls.Streamed]:
        """Score batches as they come; yields each result with its batch's index, in order of completion.

        `how` is as for `score`. A batch that cannot be scored yields its error and does not end the stream.
        """
        return self.exchange(oracle_calls.score_stream(_numbered(batches), **how))


async def _numbered(batches: AsyncIterator[Any]) -> AsyncIterator[tuple[int, Any]]:
    index = 0
    async for batch in batches:
        yield index, batch
        index += 1


class AsyncTrainerClient(AsyncService):
    """Starts, watches and evaluates training runs."""

    describe = _call(trainer_calls.describe)
    start_run = _call(trainer_calls.start_run)
    get_run = _call(trainer_calls.get_run)
    list_runs = _call(trainer_calls.list_runs)
    watch_run = _stream(trainer_calls.watch_run)
    stop_run = _call(trainer_calls.stop_run)
    resume_run = _call(trainer_calls.resume_run)
    delete_run = _call(trainer_calls.delete_run)
    publish_policy = _call(trainer_calls.publish_policy)
    evaluate = _call(trainer_calls.evaluate)
    get_artifact = _call(trainer_calls.get_artifact)


class AsyncClient(ClientBase[AsyncGeneratorClient, AsyncOracleClient, AsyncTrainerClient]):
    """The three services: the local stack's, or those whose addresses were given; as `Client`.

    To be made where an event loop runs.

    Examples
    --------
    >>> async with AsyncClient() as x:                                          # doctest: +SKIP
    ...     print((await x.oracle.describe()).calculators)
    >>> async with AsyncClient.connect(oracle="localhost:50052") as x:          # doctest: +SKIP
    ...     scores = await x.oracle.score("my_cifs/")
    """

    _kinds: ClassVar = {
        "generator": AsyncGeneratorClient,
        "oracle": AsyncOracleClient,
        "trainer": AsyncTrainerClient,
    }

    async def wait_ready(self, timeout_s: float = 60.0) -> None:
        """Return once all services say that they serve."""
        await asyncio.gather(*(service.wait_ready(timeout_s) for service in self._services.values()))

    async def close(self) -> None:
        """Close the connections; calls at work are cancelled."""
        for service in self._services.values():
            await service.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
