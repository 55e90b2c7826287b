"""Request id and run id of a call: from its metadata, into every log line."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any

import structlog

from xenolith.serving.around import Around, CallInfo, is_infrastructure

__all__ = ["REQUEST_ID_KEY", "RUN_ID_KEY", "identity", "request_id", "run_id"]

REQUEST_ID_KEY = "x-request-id"
RUN_ID_KEY = "x-run-id"
# Ids come from strangers and go into logs: keep them short and printable.
_LONGEST = 128

_request_id: ContextVar[str] = ContextVar("xenolith_request_id", default="")
_run_id: ContextVar[str] = ContextVar("xenolith_run_id", default="")


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
