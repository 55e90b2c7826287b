"""The client for programs with an event loop."""

import asyncio
import functools
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Self, TypeVar

import grpc
import grpc.aio

from xenolith.client import _generator, _oracle, _trainer
from xenolith.client._calls import Collect, Exchange, Iterate, Unary, Upload
from xenolith.client._options import Options, channel_options, credentials
from xenolith.client._shared import Endpoint, call_metadata, may_reconnect, open_endpoints, unconfigured
from xenolith.client.operations import AsyncOperationHandle
from xenolith.errors import XenolithError

if TYPE_CHECKING:
    from xenolith.convert.items import CrystalsLike

__all__ = ["AsyncClient", "AsyncGeneratorClient", "AsyncOracleClient", "AsyncTrainerClient"]

P = ParamSpec("P")
R = TypeVar("R")


class _Service:
    """The calls of one service at one address."""

    def __init__(self, endpoint: Endpoint, channel: grpc.aio.Channel, options: Options) -> None:
        self._endpoint, self._channel, self._options = endpoint, channel, options
        self._stub = endpoint.stub(channel)

    @property
    def address(self) -> str:
        """``host:port`` of the service."""
        return self._endpoint.address

    async def wait_ready(self, timeout_s: float = 60.0) -> None:
        """Return once the service says that it serves.

        Raises
        ------
        DeadlineError
            If it has not after `timeout_s` seconds.
        """
        end = time.monotonic() + timeout_s
        check = self._endpoint.health(self._channel)
        last: XenolithError | None = None
        while time.monotonic() < end:
            try:
                with self._endpoint.errors("Check"):
                    if self._endpoint.is_serving(await check(self._endpoint.health_request(), timeout=2)):
                        return
                last = None
            except XenolithError as error:
                last = error  # not there yet
            await asyncio.sleep(0.2)
        raise self._endpoint.not_ready(timeout_s, last)

    async def _unary(self, call: Unary[R]) -> R:
        with self._endpoint.errors(call.method):
            method = self._method(call.method)
            response = await method(call.request, timeout=call.timeout_s, metadata=self._metadata())
        return call.parse(response)

    async def _upload(self, call: Upload[R]) -> R:
        with self._endpoint.errors(call.method):
            method = self._method(call.method)
            response = await method(iter(call.requests()), timeout=call.timeout_s, metadata=self._metadata())
        return call.parse(response)

    async def _collect(self, call: Collect[R]) -> R:
        collector = call.collector()
        with self._endpoint.errors(call.method):
            stream = self._method(call.method)(
                call.request, timeout=call.timeout_s, metadata=self._metadata()
            )
            try:
                async for message in stream:
                    collector.add(message)
            finally:
                stream.cancel()
        return collector.finish()

    async def _iterate(self, call: Iterate[R]) -> AsyncIterator[R]:
        broken_since: float | None = None
        while True:
            try:
                with self._endpoint.errors(call.method):
                    method = self._method(call.method)
                    stream = method(call.request, timeout=call.timeout_s, metadata=self._metadata())
                    try:
                        async for message in stream:
                            broken_since = None
                            yield call.parse(message)
                            if call.resume:
                                call.resume(call.request, message)
                    finally:
                        stream.cancel()
                return
            except XenolithError as error:
                broken_since = broken_since or time.monotonic()
                if not may_reconnect(call, error, time.monotonic() - broken_since, self._options):
                    raise
                await asyncio.sleep(0.5)

    async def _exchange(self, call: Exchange[R]) -> AsyncIterator[R]:
        async def requests() -> AsyncIterator[Any]:
            async for item in call.items:
                yield call.encode(item)

        with self._endpoint.errors(call.method):
            stream = self._method(call.method)(requests(), timeout=call.timeout_s, metadata=self._metadata())
            try:
                async for message in stream:
                    yield call.parse(message)
            finally:
                stream.cancel()

    def _method(self, name: str) -> Any:
        return getattr(self._stub, name)

    def _metadata(self) -> tuple[tuple[str, str], ...]:
        return call_metadata(self._options)


def _unary(build: Callable[P, Unary[R]]) -> Callable[Concatenate[Any, P], Awaitable[R]]:
    @functools.wraps(build)
    def method(self: Any, *args: P.args, **kwargs: P.kwargs) -> Awaitable[R]:
        return self._unary(build(*args, **kwargs))

    return method  # type: ignore[return-value]  # wraps() shows the checker no self


def _upload(build: Callable[P, Upload[R]]) -> Callable[Concatenate[Any, P], Awaitable[R]]:
    @functools.wraps(build)
    def method(self: Any, *args: P.args, **kwargs: P.kwargs) -> Awaitable[R]:
        return self._upload(build(*args, **kwargs))

    return method  # type: ignore[return-value]  # wraps() shows the checker no self


def _collect(build: Callable[P, Collect[R]]) -> Callable[Concatenate[Any, P], Awaitable[R]]:
    @functools.wraps(build)
    def method(self: Any, *args: P.args, **kwargs: P.kwargs) -> Awaitable[R]:
        return self._collect(build(*args, **kwargs))

    return method  # type: ignore[return-value]  # wraps() shows the checker no self


def _iterate(build: Callable[P, Iterate[R]]) -> Callable[Concatenate[Any, P], AsyncIterator[R]]:
    @functools.wraps(build)
    def method(self: Any, *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[R]:
        return self._iterate(build(*args, **kwargs))

    return method  # type: ignore[return-value]  # wraps() shows the checker no self


class AsyncGeneratorClient(_Service):
    """Samples crystals, and translates between crystals and latents."""

    describe = _unary(_generator.describe)
    sample = _collect(_generator.sample)
    iter_samples = _iterate(_generator.iter_samples)
    encode = _unary(_generator.encode)
    decode = _unary(_generator.decode)
    update_weights = _upload(_generator.update_weights)
    get_weights = _collect(_generator.get_weights)


class AsyncOracleClient(_Service):
    """Measures crystals."""

    describe = _unary(_oracle.describe)
    score = _unary(_oracle.score)
    get_operation = _unary(_oracle.get_operation)
    wait_operation = _unary(_oracle.wait_operation)
    cancel_operation = _unary(_oracle.cancel_operation)

    async def submit_score(self, crystals: "CrystalsLike", **how: Any) -> AsyncOperationHandle:
        """Start a scoring that may take hours, and return a handle on it at once.

        `how` is as for `score`, and ``priority`` (larger goes first), ``idempotency_key`` (submitting the
        same one again gives the same operation) and ``retention_s`` (how long the result is kept). Structures
        that cannot be sent are an error here: results are counted by their place in the submission.
        """
        return self._handle(await self._unary(_oracle.submit_score(crystals, **how)))

    async def operation(self, operation_id: str) -> AsyncOperationHandle:
        """Return a handle on an operation that was submitted before, from here or elsewhere."""
        return self._handle(await self._unary(_oracle.get_operation(operation_id)))

    def _handle(self, operation: _oracle.Operation) -> AsyncOperationHandle:
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


class AsyncTrainerClient(_Service):
    """Starts, watches and evaluates training runs."""

    start_run = _unary(_trainer.start_run)
    get_run = _unary(_trainer.get_run)
    list_runs = _unary(_trainer.list_runs)
    watch_run = _iterate(_trainer.watch_run)
    stop_run = _unary(_trainer.stop_run)
    resume_run = _unary(_trainer.resume_run)
    evaluate = _collect(_trainer.evaluate)
    get_artifact = _collect(_trainer.get_artifact)


class AsyncClient:
    """The three services, those of them that were given an address.

    Example
    -------
    >>> async with AsyncClient.connect(oracle="localhost:50052") as x:          # doctest: +SKIP
    ...     scores = await x.oracle.score("my_cifs/")
    """

    def __init__(self, endpoints: list[Endpoint], options: Options) -> None:
        self._services: dict[str, Any] = {}
        self._channels: list[grpc.aio.Channel] = []
        kinds = {
            "generator": AsyncGeneratorClient,
            "oracle": AsyncOracleClient,
            "trainer": AsyncTrainerClient,
        }
        for endpoint in endpoints:
            channel = _open(endpoint.address, options)
            self._channels.append(channel)
            self._services[endpoint.name] = kinds[endpoint.name](endpoint, channel, options)

    @classmethod
    def connect(
        cls,
        *,
        generator: str | None = None,
        oracle: str | None = None,
        trainer: str | None = None,
        options: Options | None = None,
        **security: Any,
    ) -> Self:
        """Return a client for the services at these addresses (``host:port``), inside a running event loop.

        Nothing is sent before the first call; see `wait_ready`. Further arguments are those of `Options`,
        such as ``token="..."`` or ``tls_ca="ca.pem"``.
        """
        return cls(*open_endpoints(generator, oracle, trainer, options, security))

    @property
    def generator(self) -> AsyncGeneratorClient:
        """The generator."""
        return self._service("generator")

    @property
    def oracle(self) -> AsyncOracleClient:
        """The oracle."""
        return self._service("oracle")

    @property
    def trainer(self) -> AsyncTrainerClient:
        """The trainer."""
        return self._service("trainer")

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

    def _service(self, name: str) -> Any:
        try:
            return self._services[name]
        except KeyError:
            raise unconfigured(name) from None


def _open(address: str, options: Options) -> grpc.aio.Channel:
    secret = credentials(options)
    if secret is None:
        return grpc.aio.insecure_channel(address, options=channel_options(options))
    return grpc.aio.secure_channel(address, secret, options=channel_options(options))
