"""Pieces of work with a beginning and an end, recorded where a tracer of OpenTelemetry is at hand.

The tracer is the one of `export_spans`, or that of the program which uses the SDK, if it has set up
OpenTelemetry for itself. Without one a span costs nothing and passes on what it was given.
"""

import asyncio
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from enum import StrEnum
from typing import Any

from xenolith.errors import XenolithError
from xenolith.tracing.context import TraceContext, belonging_to, current_call

__all__ = ["Attribute", "Span", "SpanKind", "record_with", "span", "traced"]

Attribute = str | bool | int | float
_CANCELLED = "CANCELLED"
_UNKNOWN = "UNKNOWN"

_tracer: Any = None


class SpanKind(StrEnum):
    """Side of a call that a span measures."""

    CLIENT = "client"
    SERVER = "server"
    INTERNAL = "internal"


class Span:
    """A piece of work that is going on.

    Parameters
    ----------
    context
        Its place in the trace, for the work that is part of it.
    recorded
        Span of OpenTelemetry that records it; None if nothing does.
    """

    def __init__(self, context: TraceContext, recorded: Any = None) -> None:
        self.context = context
        self._recorded = recorded
        self._settled = False

    @property
    def recorded(self) -> bool:
        """Whether it will be exported."""
        return self._recorded is not None and bool(self._recorded.is_recording())

    def note(self, **attributes: Attribute) -> None:
        """Add attributes; a dot in a name is written ``__``."""
        if self._recorded is not None:
            for name, value in attributes.items():
                self._recorded.set_attribute(name.replace("__", "."), value)

    def settle(self, code: str, reason: str = "", *, failed: bool) -> None:
        """Note the gRPC status of its end, and whether that is a failure; the first time counts."""
        if self._recorded is not None and failed and not self._settled:
            from opentelemetry.trace import Status, StatusCode

            self._recorded.set_status(Status(StatusCode.ERROR, f"{code}: {reason}" if reason else code))
        self._settled = True

    def end(self) -> None:
        """End it."""
        if self._recorded is not None:
            self._recorded.end()


def record_with(tracer: Any) -> None:
    """Record all further spans of this process with a tracer of OpenTelemetry; None: with none of ours."""
    global _tracer  # noqa: PLW0603  # one for the process, as OpenTelemetry's own
    _tracer = tracer


@contextmanager
def span(
    name: str,
    kind: SpanKind = SpanKind.INTERNAL,
    attributes: Mapping[str, Attribute] | None = None,
) -> Iterator[Span]:
    """Measure what happens inside, as part of what the work at hand belongs to."""
    measured = _begin(name, kind, current_call().trace, attributes or {})
    try:
        yield measured
    except BaseException as error:
        code, reason = _failure(error)
        measured.settle(code, reason, failed=True)
        raise
    finally:
        measured.end()


@contextmanager
def traced(name: str, attributes: Mapping[str, Attribute] | None = None) -> Iterator[Span]:
    """Measure what happens inside, and let the calls that it makes be part of it."""
    with (
        span(name, SpanKind.INTERNAL, attributes) as measured,
        belonging_to(replace(current_call(), trace=measured.context)),
    ):
        yield measured


def _failure(error: BaseException) -> tuple[str, str]:
    if isinstance(error, XenolithError):
        return error.code.name, str(error)[:200]
    if isinstance(error, asyncio.CancelledError | GeneratorExit):
        return _CANCELLED, ""
    return _UNKNOWN, type(error).__name__


def _begin(
    name: str, kind: SpanKind, parent: TraceContext | None, attributes: Mapping[str, Attribute]
) -> Span:
    tracer = _tracer
    if tracer is None:
        # A program that has not imported it has not set it up.
        api = sys.modules.get("opentelemetry.trace")
        if api is None:
            return Span(parent or TraceContext.begin())
        tracer = api.get_tracer("xenolith")
    from xenolith.tracing.otel import begin_recording

    begun = begin_recording(tracer, name, kind, parent, attributes)
    return Span(parent or TraceContext.begin()) if begun is None else Span(*begun)
