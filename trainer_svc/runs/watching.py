"""Events of a run for whoever watches it, past ones first, then as they come."""

import asyncio
from collections.abc import AsyncGenerator

from trainer_svc.runs.run_log import RunLog
from xenolith.v1 import trainer_pb2

__all__ = ["watch"]


async def watch(run_log: RunLog, after: int) -> AsyncGenerator[trainer_pb2.WatchRunResponse, None]:
    """Yield the events with a larger sequence number than `after`, until the run ends; on any event loop."""
    loop, news = asyncio.get_running_loop(), asyncio.Event()

    def on_event(_: trainer_pb2.WatchRunResponse) -> None:
        loop.call_soon_threadsafe(news.set)

    unsubscribe = run_log.events.subscribe(on_event)
    try:
        while True:
            # Cleared before reading: what comes in between sets it again.
            news.clear()
            # Asked before reading, too: the end may come while an event is on its way to a slow reader.
            active = run_log.active
            for event in run_log.events.after(after):
                after = event.sequence
                yield event
            if not active:
                return
            if not run_log.events.after(after):
                await news.wait()
    finally:
        unsubscribe()
