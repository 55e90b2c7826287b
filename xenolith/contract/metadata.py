"""Keys of a call's metadata that every service understands."""

from __future__ import annotations

__all__ = [
    "REQUEST_ID_KEY",
    "RUN_ID_KEY",
    "TOKEN_KEY",
    "TRACEPARENT_KEY",
    "TRACESTATE_KEY",
    "bearer",
    "token_of",
]

REQUEST_ID_KEY = "x-request-id"
"""Names one call in the log lines of client and service, and in errors."""
RUN_ID_KEY = "x-run-id"
"""Names the run that a call belongs to."""
TOKEN_KEY = "authorization"  # noqa: S105  # the key, not the token
"""Holds the caller's token; see `bearer`."""

TRACEPARENT_KEY = "traceparent"
"""Place of a call in a trace, as W3C Trace Context writes it."""
TRACESTATE_KEY = "tracestate"
"""Notes of those whom the trace passed."""


def bearer(token: str) -> str:
    """Return how a token is written under `TOKEN_KEY`."""
    return f"Bearer {token}"


def token_of(shown: str) -> str:
    """Return the token of what was written under `TOKEN_KEY`; empty if there is none."""
    return shown.removeprefix("Bearer ") if shown.startswith("Bearer ") else ""
