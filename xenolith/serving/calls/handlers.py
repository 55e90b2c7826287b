"""Handlers of calls, wrapped: the ground that interceptors stand on."""

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import grpc
import grpc.aio

__all__ = [
    "Around",
    "AroundInterceptor",
    "CallInfo",
    "call_info",
    "is_infrastructure",
    "remade",
    "served_by",
    "wrapped",
]


class CallInfo(NamedTuple):
    """Facts of a call that are known before it is served."""

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
        return wrapped(handler, self.around, call_info(details))


def is_infrastructure(method: str) -> bool:
    """Whether a method belongs to health checking or reflection, which must answer whatever else happens."""
    return method.startswith(("/grpc.health.", "/grpc.reflection."))


def call_info(details: grpc.HandlerCallDetails) -> CallInfo:
    """Return what is known of a call before it is served."""
    metadata = {key: value for key, value in details.invocation_metadata or () if isinstance(value, str)}
    return CallInfo(details.method, metadata)


def wrapped(handler: Any, around: Around, call: CallInfo) -> Any:
    """Return a handler that serves as `handler` does, inside a context manager of its own for each call."""
    inner = served_by(handler)

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

    return remade(handler, many if handler.response_streaming else one, handler.request_deserializer)


def served_by(handler: Any) -> Callable[[Any, Any], Any]:
    """Return the method of the servicer that a handler calls."""
    inner = handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream
    return cast("Callable[[Any, Any], Any]", inner)


def remade(
    handler: Any,
    serve: Callable[[Any, Any], Any],
    decode: Callable[[bytes], Any] | None,
    encode: Callable[[Any], bytes] | None = None,
) -> Any:
    """Return a handler of the same kind that calls `serve` with what `decode` makes of the bytes.

    Its answers become bytes by `encode`, or as those of `handler` do.
    """
    kind = ("stream" if handler.request_streaming else "unary") + (
        "_stream" if handler.response_streaming else "_unary"
    )
    make = getattr(grpc, f"{kind}_rpc_method_handler")
    return make(serve, request_deserializer=decode, response_serializer=encode or handler.response_serializer)
