"""Streams that fell silent give their place back."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Self

import grpc
import grpc.aio

from xenolith.errors import DeadlineError
from xenolith.serving.calls.handlers import remade, served_by
from xenolith.serving.calls.record import call_record

__all__ = ["IdleInterceptor"]


@dataclass(frozen=True)
class IdleInterceptor(grpc.aio.ServerInterceptor):
    """Ends streams whose caller sends nothing for `idle_s` seconds although it waits for no answer.

    A stream of answers waits for as many as there were requests, as `ScoreStream` does.
    """

    idle_s: float

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        details: grpc.HandlerCallDetails,
    ) -> Any:
        """Wrap the handler that `continuation` finds, if it takes a stream."""
        handler = await continuation(details)
        if handler is None or not handler.request_streaming:
            return handler
        inner = served_by(handler)

        async def one(requests: AsyncIterator[Any], context: Any) -> Any:
            return await inner(_Heard(requests, self.idle_s), context)

        async def many(requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
            heard = _Heard(requests, self.idle_s)
            async for answer in inner(heard, context):
                yield answer
                heard.answered()

        return remade(handler, many if handler.response_streaming else one, handler.request_deserializer)


class _Heard:
    """A stream of requests that raises when nothing comes for too long and no answer is owed."""

    def __init__(self, requests: AsyncIterator[Any], idle_s: float) -> None:
        self._requests, self._idle_s = aiter(requests), idle_s
        self._owed = 0
        self._even = asyncio.Event()
        self._even.set()

    def answered(self) -> None:
        """Note that an answer went out."""
        self._owed -= 1
        if self._owed <= 0:
            self._even.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        next_one = asyncio.ensure_future(anext(self._requests))
        try:
            while not next_one.done():
                await self._wait(next_one)
        except BaseException:
            next_one.cancel()
            await asyncio.wait({next_one})
            raise
        request = next_one.result()
        self._owed += 1
        self._even.clear()
        return request

    async def _wait(self, next_one: "asyncio.Future[Any]") -> None:
        """Return when the next request is there, or the last answer went out; raise if neither comes."""
        if self._even.is_set():
            await asyncio.wait({next_one}, timeout=self._idle_s)
            if not next_one.done() and self._even.is_set():
                call_record().refusal = "silent"
                raise DeadlineError(
                    f"the stream was silent for {self._idle_s:g} s; open it when there is work"
                )
            return
        even = asyncio.ensure_future(self._even.wait())
        try:
            await asyncio.wait({next_one, even}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            even.cancel()
