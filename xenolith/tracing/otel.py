"""Spans as OpenTelemetry has them; imported only where it is installed and used."""

from collections.abc import Mapping
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context

from xenolith.tracing.context import TraceContext

__all__ = ["begin_recording"]


def begin_recording(
    tracer: Any,
    name: str,
    kind: str,
    parent: TraceContext | None,
    attributes: Mapping[str, str | bool | int | float],
) -> tuple[TraceContext, trace.Span] | None:
    """Begin a span that a tracer records; None if it does not, because nobody set OpenTelemetry up.

    Parameters
    ----------
    tracer
        A tracer of OpenTelemetry.
    name, kind, attributes
        Of the span; the kind is ``client``, ``server`` or ``internal``.
    parent
        What it is part of; None: what OpenTelemetry says is at work in this program.

    Returns
    -------
    TraceContext, trace.Span
        Its place in the trace, and the span, which its maker ends.
    """
    context = None if parent is None else _context_of(parent)
    recorded = tracer.start_span(
        name, context, kind=trace.SpanKind[kind.upper()], attributes=dict(attributes)
    )
    place = recorded.get_span_context()
    if not place.is_valid:
        return None
    ours = TraceContext(
        trace_id=trace.format_trace_id(place.trace_id),
        span_id=trace.format_span_id(place.span_id),
        sampled=place.trace_flags.sampled,
        state=place.trace_state.to_header(),
    )
    return ours, recorded


def _context_of(parent: TraceContext) -> Context:
    place = trace.SpanContext(
        trace_id=int(parent.trace_id, 16),
        span_id=int(parent.span_id, 16),
        is_remote=True,
        trace_flags=trace.TraceFlags(int(parent.sampled)),
        trace_state=trace.TraceState.from_header([parent.state]) if parent.state else None,
    )
    return trace.set_span_in_context(trace.NonRecordingSpan(place), Context())
