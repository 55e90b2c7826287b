"""A thread of its own for work that computes, so that the event loop stays free."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar, cast

from xenolith.serving.metric_sample import SECONDS, Distribution, MetricSample

__all__ = ["Stop", "Worker"]

T = TypeVar("T")
_END = object()
_TURN_S = 0.25
"""How long a call keeps the thread while others wait for it, seconds."""


class Stop(threading.Event):
    """Set when nobody waits for the result any more: long work looks at it between batches and returns."""


class Worker:
    """Runs functions one after the other in a single thread, with the caller's log context.

    One worker per model: torch is then never entered twice at once, and its thread count means what it says.
    """

    def __init__(self, name: str, threads: int = 1) -> None:
        self._executor = ThreadPoolExecutor(max_workers=threads, thread_name_prefix=name)
        self._waiting: set[object] = set()
        self._waited = Distribution(SECONDS)

    async def run(self, function: Callable[..., T], *args: object) -> T:
        """Return ``function(*args)``, computed in the thread."""
        context, place, came = copy_context(), object(), time.perf_counter()

        def begin() -> T:
            self._waiting.discard(place)
            self._waited.add(time.perf_counter() - came)
            return context.run(function, *args)

        self._waiting.add(place)
        try:
            future = self._executor.submit(begin)
        except BaseException:
            self._waiting.discard(place)
            raise
        # Also when it is cancelled before its turn.
        future.add_done_callback(lambda _: self._waiting.discard(place))
        return await asyncio.wrap_future(future)

    def metric_samples(self, prefix: str) -> Iterator[MetricSample]:
        """Return how much waits for the thread, and how long it did; names begin with `prefix`."""
        yield MetricSample(
            name=f"{prefix}_queue_depth",
            help="Pieces of work that wait for a thread.",
            value=len(self._waiting),
            kind="gauge",
        )
        yield self._waited.sample(
            f"{prefix}_queue_seconds", "Time that a piece of work waited for a thread, seconds."
        )

    async def run_stoppable(self, function: Callable[[Stop], T]) -> T:
        """As `run`, but tell the function through its `Stop` when the call is cancelled or times out."""
        stop = Stop()
        try:
            return await self.run(function, stop)
        except asyncio.CancelledError:
            stop.set()
            raise

    async def iterate(self, function: Callable[[Stop], Iterator[T | None]]) -> AsyncIterator[T]:
        """Yield from the iterator that `function` makes, computing each item in the thread when asked for.

        None is no item, but a point at which other calls may have their turn. They take turns one after the
        other, of a quarter of a second where there are such points.
        """
        stop = Stop()
        items: Iterator[T | None] = await self.run(function, stop)
        try:
            while True:
                item = await self.run(_turn, items)
                if item is _END:
                    return
                if item is not None:
                    yield cast("T", item)
        finally:
            stop.set()

    async def run_in_turns(self, function: Callable[[Stop], Generator[None, None, T]]) -> T:
        """Return the result of the computation that `function` makes, in turns as `iterate` has them."""

        def items(stop: Stop) -> Iterator[tuple[T] | None]:
            yield ((yield from function(stop)),)

        async for (result,) in self.iterate(items):
            return result
        raise AssertionError("unreachable: the last item is the result")

    def close(self) -> None:
        """Give up work not yet begun; what runs is not waited for."""
        self._executor.shutdown(wait=False, cancel_futures=True)


def _turn(items: Iterator[object]) -> object:
    """Return the next item, None if the turn is over before it is there, `_END` after the last."""
    until = time.monotonic() + _TURN_S
    for item in items:
        if item is not None or time.monotonic() > until:
            return item
    return _END
