"""Each call as operators see it: counted, in one line of the log, as a span of its trace.

A call that was let in leaves one line. A call that was turned away, because its token does not fit or there
is no room, is counted: such calls come by the thousand, and their lines would drown all others.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

import grpc
import structlog

from xenolith.serving.calls.handlers import Around, CallInfo, is_infrastructure
from xenolith.serving.calls.record import CallRecord, enter_record
from xenolith.tracing import Span, SpanKind, current_call, enter_call, span

__all__ = ["AccessLevel", "Observer", "RefusalLog", "observed"]

log = structlog.get_logger(__name__)

AccessLevel = Literal["off", "debug", "info"]

_TURNED_AWAY = {
    grpc.StatusCode.RESOURCE_EXHAUSTED.name,
    grpc.StatusCode.UNAUTHENTICATED.name,
    grpc.StatusCode.PERMISSION_DENIED.name,
}
# With these a server's span has failed; with others it is the caller who erred.
# https://opentelemetry.io/docs/specs/semconv/rpc/grpc/
_SERVER_FAILED = {
    grpc.StatusCode.DATA_LOSS.name,
    grpc.StatusCode.DEADLINE_EXCEEDED.name,
    grpc.StatusCode.INTERNAL.name,
    grpc.StatusCode.UNAVAILABLE.name,
    grpc.StatusCode.UNIMPLEMENTED.name,
    grpc.StatusCode.UNKNOWN.name,
}


class Observer(Protocol):
    """Something that counts calls."""

    def began(self, record: CallRecord) -> None:
        """Note that a call came."""

    def ended(self, record: CallRecord) -> None:
        """Note that it ended, whatever its end."""


def observed(access: AccessLevel = "off", observer: Observer | None = None) -> Around:
    """Keep a record of every call but health checks; see the module.

    Parameters
    ----------
    access
        Level of the line that each call leaves; ``off``: none.
    observer
        Counts calls.
    """

    @asynccontextmanager
    async def around(call: CallInfo, context: Any) -> AsyncIterator[None]:
        if is_infrastructure(call.method):
            yield
            return
        record = CallRecord(method=call.method)
        enter_record(record)
        if observer:
            observer.began(record)
        with span(call.method.removeprefix("/"), SpanKind.SERVER, _attributes(call.method)) as measured:
            enter_call(replace(current_call(), trace=measured.context))
            if measured.recorded:
                structlog.contextvars.bind_contextvars(trace_id=measured.context.trace_id)
            try:
                yield
            except BaseException as error:
                record.code = _code(error, context)
                raise
            finally:
                record.end()
                _note(measured, record)
                if observer:
                    observer.ended(record)
                if access != "off" and record.code not in _TURNED_AWAY:
                    _write(access, record)

    return around


def _code(error: BaseException, context: Any) -> str:
    if isinstance(error, asyncio.CancelledError):
        left = context.time_remaining()
        late = left is not None and left <= 0
        return (grpc.StatusCode.DEADLINE_EXCEEDED if late else grpc.StatusCode.CANCELLED).name
    return getattr(context.code(), "name", grpc.StatusCode.UNKNOWN.name)


def _attributes(method: str) -> dict[str, str]:
    service, _, name = method.removeprefix("/").partition("/")
    return {"rpc.system": "grpc", "rpc.service": service, "rpc.method": name}


def _note(measured: Span, record: CallRecord) -> None:
    ids = current_call()
    notes = {
        "xenolith__request_id": ids.request_id,
        "xenolith__run_id": ids.run_id,
        "xenolith__caller": record.caller,
    }
    measured.settle(record.code, record.reason, failed=record.code in _SERVER_FAILED)
    measured.note(
        rpc__grpc__status_code=int(grpc.StatusCode[record.code].value[0]),
        **{name: value for name, value in notes.items() if value},
    )


def _write(access: AccessLevel, record: CallRecord) -> None:
    # Request id, run, caller and method are bound to the log's context.
    facts: dict[str, Any] = {
        "code": record.code,
        "seconds": round(record.seconds, 4),
        "request_bytes": record.request_bytes,
        "response_bytes": record.response_bytes,
    }
    if record.requests > 1:
        facts["requests"] = record.requests
    if record.responses > 1:
        facts["responses"] = record.responses
    if record.reason:
        facts["reason"] = record.reason
    getattr(log, access)("call", **facts)


@dataclass
class _Kind:
    """Refusals of one kind since the last line."""

    count: int = 0
    reason: str = ""


@dataclass
class RefusalLog:
    """Says at once that calls are refused, then at most once per interval how many more were.

    Faults are not refusals: each has a line of its own.
    """

    interval_s: float
    """Seconds between two lines of a kind: a method, a code and a caller."""
    _kinds: dict[tuple[str, str, str], _Kind] = field(default_factory=dict)

    def note(self, record: CallRecord, code: str, reason: str) -> None:
        """Count a refusal."""
        key = (record.name, code, record.caller)
        kind = self._kinds.get(key)
        if kind is not None:
            kind.count, kind.reason = kind.count + 1, reason
            return
        self._kinds[key] = _Kind()
        log.info("call refused", code=code, reason=reason)
        asyncio.get_running_loop().call_later(self.interval_s, self._tell, key)

    def _tell(self, key: tuple[str, str, str]) -> None:
        kind = self._kinds.pop(key)
        if not kind.count:
            return
        self._kinds[key] = _Kind()
        method, code, caller = key
        structlog.contextvars.clear_contextvars()
        who = {"caller": caller} if caller else {}
        log.info(
            "calls refused",
            method=method,
            code=code,
            count=kind.count,
            over_s=self.interval_s,
            last_reason=kind.reason,
            **who,
        )
        asyncio.get_running_loop().call_later(self.interval_s, self._tell, key)
