"""Everything that happens around a call, whatever the service: the interceptors of a server, in their order.

A call passes them from the outside in: `identity` takes its ids, `observed` (`observation`) counts it and
leaves its line in the log, `rich_errors` turns what it raises into a status, `AuthenticationInterceptor`
(`authentication`) asks who it is and what he may call before a byte of the request is taken in,
`admission` whether there is room, `IdleInterceptor` ends streams that fell silent, `CodingInterceptor` makes
messages of bytes, and bytes of answers. A new one is a function that returns an `Around`, added to the list
in `xenolith.serving.app`.
"""

import asyncio
import math
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
import structlog
from grpc_status import rpc_status

from xenolith.contract.errors import status_from_error
from xenolith.contract.metadata import REQUEST_ID_KEY, RUN_ID_KEY
from xenolith.errors import (
    InternalError,
    OverloadedError,
    UnimplementedError,
    XenolithError,
)
from xenolith.serving.calls.authentication import caller
from xenolith.serving.calls.handlers import Around, CallInfo, is_infrastructure
from xenolith.serving.calls.observation import RefusalLog
from xenolith.serving.calls.record import call_record
from xenolith.tracing import CallContext, TraceContext, current_call, enter_call

__all__ = [
    "admission",
    "identity",
    "request_id",
    "rich_errors",
    "run_id",
]

log = structlog.get_logger(__name__)

# Ids come from strangers and go into logs: keep them short and printable.
_LONGEST = 128
_PUSHBACK = "grpc-retry-pushback-ms"
_LONGEST_REASON = 300
_FAULTS = {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.DATA_LOSS}


def request_id() -> str:
    """Return the id of the call being served, empty outside a call."""
    return current_call().request_id


def run_id() -> str:
    """Return the id of the run that the call being served belongs to, empty if it named none."""
    return current_call().run_id


def identity() -> Around:
    """Take what a call belongs to, make a request id where there is none, bind the ids to log lines."""

    @asynccontextmanager
    async def around(call: CallInfo, _context: Any) -> AsyncIterator[None]:
        if is_infrastructure(call.method):
            yield
            return
        # A call is served in a task, hence a context, of its own: nothing has to be reset afterwards.
        enter_call(
            CallContext(
                request_id=_clean(call.metadata.get(REQUEST_ID_KEY, "")) or uuid.uuid4().hex,
                run_id=_clean(call.metadata.get(RUN_ID_KEY, "")),
                trace=TraceContext.received(call.metadata),
            )
        )
        ids = {"request_id": request_id(), "run_id": run_id(), "method": call.method.rpartition("/")[2]}
        structlog.contextvars.bind_contextvars(**{key: value for key, value in ids.items() if value})
        yield

    return around


def _clean(value: str) -> str:
    # ASCII: they go on to other services as metadata, which takes nothing else.
    return "".join(each for each in value[:_LONGEST] if each.isascii() and each.isprintable())


def rich_errors(refusals: RefusalLog) -> Around:
    """Translate `XenolithError` faithfully; hide anything else behind INTERNAL and log it in full.

    Parameters
    ----------
    refusals
        Told of what is refused.
    """

    @asynccontextmanager
    async def around(call: CallInfo, context: Any) -> AsyncIterator[None]:
        try:
            yield
        except (asyncio.CancelledError, grpc.aio.AbortError):
            raise
        except XenolithError as error:
            record = call_record()
            record.reason = str(error)[:_LONGEST_REASON]
            if error.code in _FAULTS:
                log.exception("call failed")
            else:
                record.refusal = record.refusal or error.code.name.lower()
                refusals.note(record, error.code.name, record.reason)
            await _abort(context, error)
        except (
            NotImplementedError
        ):  # what the generated base class raises for a method that a service leaves out
            method = call.method.rpartition("/")[2]
            await _abort(context, UnimplementedError(f"{method} is not served here; Describe lists what is"))
        except Exception as error:  # the last line of defence: no fault may end a process
            log.exception("call failed")
            hidden = InternalError(f"{type(error).__name__} in the service; its log has the rest")
            call_record().reason = str(hidden)
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
                raise _full("waiting", f"{max_waiting} calls wait here already", retry_after_s)
            waiting += 1
            try:
                yield
            finally:
                waiting -= 1
            return
        who = caller()
        name = who.name if who and not who.shared else ""
        if in_flight.total() >= max_in_flight:
            raise _full("full", f"this service is serving its limit of {max_in_flight} calls", retry_after_s)
        slots = (who.slots or usual) if who and name else max_in_flight
        if in_flight[name] >= slots:
            raise _full(
                "slots", f"{name} has {slots} calls at work, all that it may have at once", retry_after_s
            )
        in_flight[name] += 1
        try:
            yield
        finally:
            in_flight[name] -= 1

    return around


def _full(refusal: str, fault: str, retry_after_s: float) -> OverloadedError:
    call_record().refusal = refusal
    return OverloadedError(f"{fault}; come again in {retry_after_s:g} s", retry_after_s=retry_after_s)
