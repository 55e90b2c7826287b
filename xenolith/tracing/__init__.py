"""Which request, run and trace a call belongs to, from the SDK through every service.

`context` says what a call belongs to and passes it on, `spans` measures pieces of work, `export` sends them
to a collector where the extra ``observability`` is installed. Without it nothing is recorded, and what
callers say is passed on.
"""

from xenolith.tracing.context import CallContext, TraceContext, belonging_to, current_call, enter_call
from xenolith.tracing.export import export_spans
from xenolith.tracing.spans import Span, SpanKind, record_with, span, traced

__all__ = [
    "CallContext",
    "Span",
    "SpanKind",
    "TraceContext",
    "belonging_to",
    "current_call",
    "enter_call",
    "export_spans",
    "record_with",
    "span",
    "traced",
]
