"""Keys of a call's metadata that every service understands."""

from __future__ import annotations

__all__ = ["REQUEST_ID_KEY", "RUN_ID_KEY"]

REQUEST_ID_KEY = "x-request-id"
"""Names one call in the log lines of client and service, and in errors."""
RUN_ID_KEY = "x-run-id"
"""Names the run that a call belongs to."""
