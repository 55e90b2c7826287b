"""A thread of its own for work that computes, so that the event loop stays free."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import TypeVar

__all__ = ["Stop", "Worker"]

T = TypeVar("T")
_END = object()


class Stop(threading.Event):
    """Set when nobody waits for the result any more: long work looks at it between batches and returns."""


class Worker:
    """Runs functions one after the other in a single thread, with the caller's log context.

    One worker per model: torch is then never entered twice at once, and its thread count means what it says.
    """

    def __init__(self, name: str, threads: int = 1) -> None:
        self._executor = ThreadPoolExecutor(max_workers=threads, thread_name_prefix=name)

    async def run(self, function: Callable[..., T], *args: object) -> T:
        """Return ``function(*args)``, computed in the thread."""
        context = copy_context()
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, partial(context.run, function, *args))

    async def run_stoppable(self, function: Callable[[Stop], T]) -> T:
        """As `run`, but tell the function through its `Stop` when the call is cancelled or times out."""
        stop = Stop()
        try:
            return await self.run(function, stop)
        except asyncio.CancelledError:
            stop.set()
            raise

    async def iterate(self, function: Callable[[Stop], Iterator[T]]) -> AsyncIterator[T]:
        """Yield from the iterator that `function` makes, computing each item in the thread when asked for."""
        stop = Stop()
        items: Iterator[T] = await self.run(function, stop)
        try:
            while True:
                item = await self.run(next, items, _END)
                if item is _END:
                    return
                yield item
        finally:
            stop.set()

    def close(self) -> None:
        """Give up work not yet begun; what runs is not waited for."""
        self._executor.shutdown(wait=False, cancel_futures=True)
