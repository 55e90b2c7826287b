"""A server in a thread of its own, for callers without an event loop: scripts, notebooks, tests."""

import asyncio
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager

from xenolith.serving.app import RunningServer, running_server
from xenolith.serving.settings import ServingSettings

__all__ = ["threaded_server"]


@contextmanager
def threaded_server(
    servicers: Sequence[object], settings: ServingSettings | None = None, *, unlimited: Sequence[str] = ()
) -> Iterator[RunningServer]:
    """As `running_server`, for synchronous code."""
    started: Future[tuple[RunningServer, asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def main() -> None:
        stop = asyncio.Event()
        try:
            async with running_server(servicers, settings, unlimited=unlimited) as running:
                started.set_result((running, asyncio.get_running_loop(), stop))
                await stop.wait()
        except BaseException as error:
            if not started.done():
                started.set_exception(error)
            raise

    thread = threading.Thread(target=lambda: asyncio.run(main()), name="grpc-server", daemon=True)
    thread.start()
    running, loop, stop = started.result()
    try:
        yield running
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
