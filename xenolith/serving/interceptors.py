"""Everything that happens around a call, whatever the service: the interceptors of a server, in their order.

A call passes them from the outside in: `identity` takes its ids, `rich_errors` turns what it raises into a
status, `AuthenticationInterceptor` asks who it is and what he may call before a byte of the request is taken
in, `admission` whether there is room, `IdleInterceptor` ends streams that fell silent, `DecodingInterceptor`
makes a message of the bytes, or says that they are none. Figures for Prometheus are outermost
(`xenolith.serving.metrics`). A new one is a function that returns an `Around`, added to the list in
`xenolith.serving.app`.
"""

import asyncio
import math
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any

import grpc
import grpc.aio
import structlog
from google.protobuf.message import DecodeError
from grpc_status import rpc_status

from xenolith.contract.errors import status_from_error
from xenolith.contract.metadata import REQUEST_ID_KEY, RUN_ID_KEY
from xenolith.errors import (
    InternalError,
    InvalidArgumentError,
    OverloadedError,
    UnimplementedError,
    XenolithError,
)
from xenolith.serving.authentication import caller
from xenolith.serving.handlers import Around, CallInfo, remade, served_by

__all__ = [
    "DecodingInterceptor",
    "admission",
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


def admission(
    max_in_flight: int,
    retry_after_s: float,
    unlimited: Collection[str] = (),
    caller_slots: int | None = None,
    max_waiting: int = 512,
) -> Around:
    """Refuse calls beyond a limit as RESOURCE_EXHAUSTED; health checks and `unlimited` ones pass.

    A full service says so at once, and when to come again, instead of making everybody wait.

    Parameters
    ----------
    max_in_flight
        Calls at once.
    retry_after_s
        Seconds after which a refused caller is to come again.
    unlimited
        Full names of methods that only wait, and take no place of the others.
    caller_slots
        Calls at once of one caller with a name, unless its token says another number; None: half of all.
    max_waiting
        Calls at once of `unlimited` methods.
    """
    in_flight: Counter[str] = Counter()
    waiting = 0
    usual = max(1, max_in_flight // 2) if caller_slots is None else caller_slots

    @asynccontextmanager
    async def around(call: CallInfo, _context: Any) -> AsyncIterator[None]:
        nonlocal waiting
        if is_infrastructure(call.method):
            yield
            return
        if call.method in unlimited:
            if waiting >= max_waiting:
                raise _full(f"{max_waiting} calls wait here already", retry_after_s)
            waiting += 1
            try:
                yield
            finally:
                waiting -= 1
            return
        who = caller()
        name = who.name if who and not who.shared else ""
        if in_flight.total() >= max_in_flight:
            raise _full(f"this service is serving its limit of {max_in_flight} calls", retry_after_s)
        slots = (who.slots or usual) if who and name else max_in_flight
        if in_flight[name] >= slots:
            raise _full(f"{name} has {slots} calls at work, all that it may have at once", retry_after_s)
        in_flight[name] += 1
        try:
            yield
        finally:
            in_flight[name] -= 1

    return around


def _full(fault: str, retry_after_s: float) -> OverloadedError:
    return OverloadedError(f"{fault}; come again in {retry_after_s:g} s", retry_after_s=retry_after_s)


class DecodingInterceptor(grpc.aio.ServerInterceptor):
    """Ends calls whose bytes are no message as INVALID_ARGUMENT, not as UNKNOWN with a traceback.

    Takes the place of gRPC's own decoding, which would come before all interceptors. The innermost one, so
    that only bytes of those who were let in are decoded, and so that the others see its refusals.
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
        inner, decode = served_by(handler), handler.request_deserializer
        method = details.method.rpartition("/")[2]
        refusal = f"these bytes are no request of {method}: does the client know another version?"

        def decoded(data: bytes) -> Any:
            try:
                return decode(data)
            except DecodeError:
                raise InvalidArgumentError(refusal) from None

        async def each(requests: AsyncIterator[bytes]) -> AsyncIterator[Any]:
            async for request in requests:
                yield decoded(request)

        def serve(request: Any, context: Any) -> Any:
            return inner(each(request) if handler.request_streaming else decoded(request), context)

        return remade(handler, serve, None)
