"""Request, run and trace that a call belongs to: passed on to every call that is made on its behalf.

The trace travels as W3C Trace Context says (https://www.w3.org/TR/trace-context/), level 1.
"""

import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Self

from xenolith.contract.metadata import TRACEPARENT_KEY, TRACESTATE_KEY

__all__ = ["CallContext", "TraceContext", "belonging_to", "current_call", "enter_call"]

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_SAMPLED = 0x01
_LONGEST_STATE = 512
"""Characters of a ``tracestate`` that the standard asks everybody to pass on."""


@dataclass(frozen=True, kw_only=True)
class TraceContext:
    """A place in a trace: the piece of work that further work is part of."""

    trace_id: str
    """32 hexadecimal digits, the same in all of a trace."""
    span_id: str
    """16 hexadecimal digits of the piece of work."""
    sampled: bool = True
    """Whether it is to be recorded."""
    state: str = ""
    """``tracestate``: what others on the way noted for themselves."""

    @classmethod
    def begin(cls) -> Self:
        """Return the beginning of a new trace, to be recorded by whoever records."""
        return cls(trace_id=secrets.token_hex(16), span_id=secrets.token_hex(8))

    @classmethod
    def received(cls, metadata: Mapping[str, str]) -> Self | None:
        """Return what a caller sent; None if nothing, or nothing that the standard allows."""
        found = _TRACEPARENT.fullmatch(metadata.get(TRACEPARENT_KEY, "").strip())
        if found is None:
            return None
        version, trace_id, span_id, flags, more = found.groups()
        if version == "ff" or (version == "00" and more) or not int(trace_id, 16) or not int(span_id, 16):
            return None
        state = metadata.get(TRACESTATE_KEY, "")
        return cls(
            trace_id=trace_id,
            span_id=span_id,
            sampled=bool(int(flags, 16) & _SAMPLED),
            state=state if len(state) <= _LONGEST_STATE and state.isascii() and state.isprintable() else "",
        )

    def metadata(self) -> list[tuple[str, str]]:
        """Return how it is passed on."""
        pairs = [(TRACEPARENT_KEY, f"00-{self.trace_id}-{self.span_id}-{int(self.sampled):02x}")]
        if self.state:
            pairs.append((TRACESTATE_KEY, self.state))
        return pairs


@dataclass(frozen=True, kw_only=True)
class CallContext:
    """Request, run and trace that the work at hand belongs to."""

    request_id: str = ""
    """Id of the request that is served; empty outside of one."""
    run_id: str = ""
    """Name of the run; empty for none."""
    trace: TraceContext | None = None
    """Place in a trace."""


_current: ContextVar[CallContext] = ContextVar("xenolith_call", default=CallContext())  # noqa: B039  # frozen


def current_call() -> CallContext:
    """Return what the work at hand belongs to; threads of a `Worker` know it of their caller."""
    return _current.get()


def enter_call(context: CallContext) -> None:
    """Let all that follows in this task belong to `context`."""
    _current.set(context)


@contextmanager
def belonging_to(context: CallContext) -> Iterator[None]:
    """Let what happens inside belong to `context`."""
    token = _current.set(context)
    try:
        yield
    finally:
        _current.reset(token)
