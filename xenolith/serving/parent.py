"""A child that outlives the process that started it, however that one died, is nobody's: it has to stop."""

import asyncio
import os

import structlog

__all__ = ["parent_gone"]

log = structlog.get_logger(__name__)
_INTERVAL_S = 1.0


async def parent_gone(pid: int | None, stop: asyncio.Event) -> None:
    """Set `stop` once `pid` is no longer the parent of this process; return at once if it is None."""
    while pid is not None:
        if os.getppid() != pid:
            log.warning("parent is gone", parent_pid=pid)
            stop.set()
            return
        await asyncio.sleep(_INTERVAL_S)
