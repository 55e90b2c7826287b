"""Admission: a full service says so at once, and when to come again, instead of making everybody wait."""

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Any

from xenolith.errors import OverloadedError
from xenolith.serving.around import Around, CallInfo, is_infrastructure

__all__ = ["admission"]


def admission(max_in_flight: int, retry_after_s: float, unlimited: Collection[str] = ()) -> Around:
    """Refuse calls beyond `max_in_flight` as RESOURCE_EXHAUSTED; health checks and `unlimited` ones pass."""
    in_flight = 0

    @asynccontextmanager
    async def around(call: CallInfo, _context: Any) -> AsyncIterator[None]:
        nonlocal in_flight
        if is_infrastructure(call.method) or call.method in unlimited:
            yield
            return
        if in_flight >= max_in_flight:
            raise OverloadedError(
                f"this service is serving its limit of {in_flight} calls; come again in {retry_after_s:g} s",
                retry_after_s=retry_after_s,
            )
        in_flight += 1
        try:
            yield
        finally:
            in_flight -= 1

    return around
