"""What every client with an event loop does with a call."""

import asyncio
import functools
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

import grpc
import grpc.aio

from xenolith.client.transport.calls import Collect, Exchange, Iterate, Unary, Upload
from xenolith.client.transport.endpoint import Endpoint, call_metadata, may_reconnect
from xenolith.client.transport.options import Options, channel_options, credentials
from xenolith.errors import XenolithError

__all__ = ["Service", "collect", "iterate", "open_channel", "unary", "upload"]

P = ParamSpec("P")
R = TypeVar("R")


class Service:
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


def unary(build: Callable[P, Unary[R]]) -> Callable[Concatenate[Any, P], Awaitable[R]]:
    """Return the method that makes the call `build` gives: one request, one answer."""

    @functools.wraps(build)
    def method(self: Any, *args: P.args, **kwargs: P.kwargs) -> Awaitable[R]:
        return self._unary(build(*args, **kwargs))

    return method  # type: ignore[return-value]  # wraps() shows the checker no self


def upload(build: Callable[P, Upload[R]]) -> Callable[Concatenate[Any, P], Awaitable[R]]:
    """Return the method that makes the call `build` gives: a stream of requests, one answer."""

    @functools.wraps(build)
    def method(self: Any, *args: P.args, **kwargs: P.kwargs) -> Awaitable[R]:
        return self._upload(build(*args, **kwargs))

    return method  # type: ignore[return-value]  # wraps() shows the checker no self


def collect(build: Callable[P, Collect[R]]) -> Callable[Concatenate[Any, P], Awaitable[R]]:
    """Return the method that makes the call `build` gives: one request, an answer in pieces."""

    @functools.wraps(build)
    def method(self: Any, *args: P.args, **kwargs: P.kwargs) -> Awaitable[R]:
        return self._collect(build(*args, **kwargs))

    return method  # type: ignore[return-value]  # wraps() shows the checker no self


def iterate(build: Callable[P, Iterate[R]]) -> Callable[Concatenate[Any, P], AsyncIterator[R]]:
    """Return the method that makes the call `build` gives: one request, a stream of answers."""

    @functools.wraps(build)
    def method(self: Any, *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[R]:
        return self._iterate(build(*args, **kwargs))

    return method  # type: ignore[return-value]  # wraps() shows the checker no self


def open_channel(address: str, options: Options) -> grpc.aio.Channel:
    """Return a channel to an address; connecting happens at the first call."""
    secret = credentials(options)
    if secret is None:
        return grpc.aio.insecure_channel(address, options=channel_options(options, address))
    return grpc.aio.secure_channel(address, secret, options=channel_options(options, address))
