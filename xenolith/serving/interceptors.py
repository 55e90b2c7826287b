"""Everything that happens around a call, whatever the service: the interceptors of a server, in their order.

A call passes them from the outside in: `identity` takes its ids, `rich_errors` turns what it raises into a
status, `authentication` asks who it is, `admission` whether there is room, `DecodingInterceptor` whether its
bytes are a message. Figures for Prometheus are outermost (`xenolith.serving.metrics`). A new one is a
function that returns an `Around`, added to the list in `xenolith.serving.app`.
"""

import asyncio
import hmac
import inspect
import math
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import grpc
import grpc.aio
import structlog
from google.protobuf.message import DecodeError
from grpc_status import rpc_status

from xenolith.contract.errors import status_from_error
from xenolith.contract.metadata import REQUEST_ID_KEY, RUN_ID_KEY, TOKEN_KEY, bearer
from xenolith.errors import (
    AuthenticationError,
    InternalError,
    InvalidArgumentError,
    OverloadedError,
    UnimplementedError,
    XenolithError,
)

__all__ = [
    "Around",
    "AroundInterceptor",
    "CallInfo",
    "DecodingInterceptor",
    "admission",
    "authentication",
    "identity",
    "is_infrastructure",
    "request_id",
    "rich_errors",
    "run_id",
]

log = structlog.get_logger(__name__)

# Ids come from strangers and go into logs: keep them short and printable.
_LONGEST = 128
_PUSHBACK = "grpc-retry-pushback-ms"
_FAULTS = {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.DATA_LOSS}

_request_id: ContextVar[str] = ContextVar("xenolith_request_id", default="")
_run_id: ContextVar[str] = ContextVar("xenolith_run_id", default="")


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


def request_id() -> str:
    """Return the id of the call being served, empty outside a call."""
    return _request_id.get()


def run_id() -> str:
    """Return the id of the run that the call being served belongs to, empty if it named none."""
    return _run_id.get()


def identity() -> Around:
    """Take the ids of a call, make a request id where there is none, bind both to the log's context."""

    @asynccontextmanager
    async def around(call: CallInfo, _context: Any) -> AsyncIterator[None]:
        if is_infrastructure(call.method):
            yield
            return
        # A call is served in a task, hence a context, of its own: nothing has to be reset afterwards.
        _request_id.set(_clean(call.metadata.get(REQUEST_ID_KEY, "")) or uuid.uuid4().hex)
        _run_id.set(_clean(call.metadata.get(RUN_ID_KEY, "")))
        ids = {"request_id": request_id(), "run_id": run_id(), "method": call.method.rpartition("/")[2]}
        structlog.contextvars.bind_contextvars(**{key: value for key, value in ids.items() if value})
        yield

    return around


def _clean(value: str) -> str:
    return "".join(character for character in value[:_LONGEST] if character.isprintable())


def rich_errors() -> Around:
    """Translate `XenolithError` faithfully; hide anything else behind INTERNAL and log it in full."""

    @asynccontextmanager
    async def around(call: CallInfo, context: Any) -> AsyncIterator[None]:
        try:
            yield
        except (asyncio.CancelledError, grpc.aio.AbortError):
            raise
        except XenolithError as error:
            if error.code in _FAULTS:
                log.exception("call failed")
            else:
                log.info("call refused", code=error.code.name, reason=str(error))
            await _abort(context, error)
        except (
            NotImplementedError
        ):  # what the generated base class raises for a method that a service leaves out
            method = call.method.rpartition("/")[2]
            await _abort(context, UnimplementedError(f"{method} is not served here; Describe lists what is"))
        except Exception as error:  # the last line of defence: no fault may end a process
            log.exception("call failed")
            hidden = InternalError(f"{type(error).__name__} in the service; its log has the rest")
            await _abort(context, hidden)

    return around


async def _abort(context: Any, error: XenolithError) -> None:
    status = rpc_status.to_status(status_from_error(error, request_id()))
    trailers = list(status.trailing_metadata)
    if error.retry_after_s is not None:
        trailers.append((_PUSHBACK, str(math.ceil(error.retry_after_s * 1000))))
    await context.abort(status.code, status.details, tuple(trailers))


def authentication(token: str | None) -> Around:
    """Require ``authorization: Bearer <token>`` on every call but health checks; None lets everybody in.

    The token is compared in constant time and never logged.
    """
    expected = bearer(token or "").encode()

    @asynccontextmanager
    async def around(call: CallInfo, _context: Any) -> AsyncIterator[None]:
        if token is not None and not call.method.startswith("/grpc.health."):
            shown = call.metadata.get(TOKEN_KEY, "").encode()
            if not hmac.compare_digest(shown, expected):
                problem = "is wrong" if shown else "is missing"
                raise AuthenticationError(f"the bearer token {problem}; set token=... in the client")
        yield

    return around


def admission(max_in_flight: int, retry_after_s: float, unlimited: Collection[str] = ()) -> Around:
    """Refuse calls beyond `max_in_flight` as RESOURCE_EXHAUSTED; health checks and `unlimited` ones pass.

    A full service says so at once, and when to come again, instead of making everybody wait.
    """
    in_flight = 0

    @asynccontextmanager
    async def around(call: CallInfo, _context: Any) -> AsyncIterator[None]:
        nonlocal in_flight
        if is_infrastructure(call.method) or call.method in unlimited:
            yield
            return
        if in_flight >= max_in_flight:
            raise OverloadedError(
                f"this service is serving its limit of {in_flight} calls; come again in {retry_after_s:g} s",
                retry_after_s=retry_after_s,
            )
        in_flight += 1
        try:
            yield
        finally:
            in_flight -= 1

    return around


class _Undecodable:
    """Stands for a request whose bytes are no message."""


class DecodingInterceptor(grpc.aio.ServerInterceptor):
    """Ends calls whose bytes are no message as INVALID_ARGUMENT, not as UNKNOWN with a traceback.

    Takes the place of gRPC's own decoding. The innermost one, so that the others see its refusals.
    """

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        details: grpc.HandlerCallDetails,
    ) -> Any:
        """Wrap the handler that `continuation` finds."""
        handler = await continuation(details)
        if handler is None or handler.request_deserializer is None:
            return handler
        inner = _served_by(handler)
        method = details.method.rpartition("/")[2]
        refusal = f"these bytes are no request of {method}: does the client know another version?"

        def checked(request: Any) -> Any:
            if isinstance(request, _Undecodable):
                raise InvalidArgumentError(refusal)
            return request

        async def each(requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
            async for request in requests:
                yield checked(request)

        def serve(request: Any, context: Any) -> Any:
            return inner(each(request) if handler.request_streaming else checked(request), context)

        return _remade(handler, serve, _tolerant(handler.request_deserializer))


def _tolerant(decode: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    def tolerant(data: bytes) -> Any:
        try:
            return decode(data)
        except DecodeError:
            return _Undecodable()

    return tolerant


def _wrapped(handler: Any, around: Around, call: CallInfo) -> Any:
    inner = _served_by(handler)

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

    return _remade(handler, many if handler.response_streaming else one, handler.request_deserializer)


def _served_by(handler: Any) -> Callable[[Any, Any], Any]:
    """Method of the servicer that a handler calls."""
    inner = handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream
    return cast("Callable[[Any, Any], Any]", inner)


def _remade(handler: Any, serve: Callable[[Any, Any], Any], decode: Callable[[bytes], Any] | None) -> Any:
    """A handler of the same kind that calls `serve` with what `decode` makes of the bytes."""
    kind = ("stream" if handler.request_streaming else "unary") + (
        "_stream" if handler.response_streaming else "_unary"
    )
    make = getattr(grpc, f"{kind}_rpc_method_handler")
    return make(serve, request_deserializer=decode, response_serializer=handler.response_serializer)
