"""A service's calls for programs with an event loop."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Self, TypeVar

import grpc
import grpc.aio

from xenolith.client.transport.calls import Answered, Collect, Exchange, Iterate
from xenolith.client.transport.endpoint import Endpoint
from xenolith.client.transport.following import Following
from xenolith.client.transport.options import Options, channel_options, credentials
from xenolith.client.transport.retry import RetryPolicy
from xenolith.client.transport.service_shared import POLL_S, ServiceBase
from xenolith.errors import XenolithError
from xenolith.v1 import oracle_pb2

__all__ = ["AsyncService"]

R = TypeVar("R")


class AsyncService(ServiceBase[grpc.aio.Channel]):
    """The calls of one service at one address; connecting happens at the first one. See `ServiceBase`."""

    def __init__(self, endpoint: Endpoint, options: Options, retry: RetryPolicy | None = None) -> None:
        super().__init__(endpoint, _open_channel(endpoint.address, options), options, retry)

    async def call(self, call: Answered[R], retry: RetryPolicy | None = None) -> R:
        """Return the result of a call, made again as `retry` says; by default as the service's policy does.

        Raises
        ------
        XenolithError
            What it ended with.
        """
        return await self.repeat(lambda: self._attempt(call), retry)

    async def repeat(self, attempt: Callable[[], Awaitable[R]], retry: RetryPolicy | None = None) -> R:
        """Return the result of the first attempt that succeeds."""
        absence = self._absence(retry)
        while True:
            try:
                result = await attempt()
            except XenolithError as error:
                pause = absence.pause_after(error)
            else:
                absence.over()
                return result
            await asyncio.sleep(pause)

    async def stream(self, call: Iterate[R]) -> AsyncIterator[R]:
        """Yield answers as they come; a stream that breaks is taken up again where the call says how."""
        absence = self._absence(self.watching)
        while True:
            try:
                with self._answers(call, call.request) as answers:
                    async for message in answers:
                        absence.over()
                        yield call.parse(message)
                        if call.resume:
                            call.resume(call.request, message)
                return
            except XenolithError as error:
                if call.resume is None:
                    raise
                pause = absence.pause_after(error)
            await asyncio.sleep(pause)

    async def exchange(self, call: Exchange[R]) -> AsyncIterator[R]:
        """Yield the answers to a stream of requests."""

        async def requests() -> AsyncIterator[Any]:
            async for item in call.items:
                yield call.encode(item)

        with self._answers(call, requests()) as answers:
            async for message in answers:
                yield call.parse(message)

    async def follow(self, following: Following) -> AsyncIterator[oracle_pb2.Operation]:
        """Yield an operation as it is now and at every look, the last time when it has ended."""
        while (look := following.next_look()) is not None:
            operation = await self.call(look, self.watching)
            following.seen(operation)
            yield operation

    async def wait_ready(self, timeout_s: float = 60.0) -> None:
        """Return once the service says that it serves.

        Raises
        ------
        DeadlineError
            If it has not after `timeout_s` seconds.
        """
        end = time.monotonic() + timeout_s
        check = self._endpoint.health(self.channel)
        last: XenolithError | None = None
        while time.monotonic() < end:
            try:
                with self._endpoint.errors("Check"):
                    if self._endpoint.is_serving(await check(self._endpoint.health_request(), timeout=2)):
                        return
                last = None
            except XenolithError as error:
                last = error  # not there yet
            await asyncio.sleep(POLL_S)
        raise self._endpoint.not_ready(timeout_s, last)

    async def close(self) -> None:
        """Close the connection; calls at work are cancelled."""
        await self.channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _attempt(self, call: Answered[R]) -> R:
        if not isinstance(call, Collect):
            with self._endpoint.calling(call.method) as measured:
                return call.parse(await self._start(call, call.sent(), measured.context))
        collector = call.collector()
        with self._answers(call, call.sent()) as answers:
            async for message in answers:
                collector.add(message)
        return collector.finish()


def _open_channel(address: str, options: Options) -> grpc.aio.Channel:
    secret = credentials(options)
    if secret is None:
        return grpc.aio.insecure_channel(address, options=channel_options(options, address))
    return grpc.aio.secure_channel(address, secret, options=channel_options(options, address))
