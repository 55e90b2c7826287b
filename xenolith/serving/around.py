"""One interceptor for everything that happens around a call, whatever its kind."""

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, NamedTuple

import grpc
import grpc.aio

__all__ = ["Around", "AroundInterceptor", "CallInfo", "is_infrastructure"]


class CallInfo(NamedTuple):
    """What is known of a call before it is served."""

    method: str
    """Full name, such as ``/xenolith.v1.OracleService/Score``."""
    metadata: dict[str, str]
    """Text metadata by lower-case key; the last value of a repeated key."""


Around = Callable[[CallInfo, Any], AbstractAsyncContextManager[None]]
"""Given a call and its context, what to do before and after; raising refuses the call."""


@dataclass(frozen=True)
class AroundInterceptor(grpc.aio.ServerInterceptor):
    """Runs every handler inside an async context manager."""

    around: Around

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        details: grpc.HandlerCallDetails,
    ) -> Any:
        """Wrap the handler that `continuation` finds."""
        handler = await continuation(details)
        if handler is None:
            return None
        metadata = {key: value for key, value in details.invocation_metadata or () if isinstance(value, str)}
        return _wrapped(handler, self.around, CallInfo(details.method, metadata))


def is_infrastructure(method: str) -> bool:
    """Whether a method belongs to health checking or reflection, which must answer whatever else happens."""
    return method.startswith(("/grpc.health.", "/grpc.reflection."))


def _wrapped(handler: Any, around: Around, call: CallInfo) -> Any:
    inner = handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream

    async def one(request: Any, context: Any) -> Any:
        async with around(call, context):
            return await inner(request, context)

    async def many(request: Any, context: Any) -> AsyncIterator[Any]:
        async with around(call, context):
            answers = inner(request, context)
            if inspect.isawaitable(answers):  # a handler that calls context.write itself
                await answers
                return
            async for answer in answers:
                yield answer

    kind = ("stream" if handler.request_streaming else "unary") + (
        "_stream" if handler.response_streaming else "_unary"
    )
    make = getattr(grpc, f"{kind}_rpc_method_handler")
    return make(
        many if handler.response_streaming else one,
        request_deserializer=handler.request_deserializer,
        response_serializer=handler.response_serializer,
    )
