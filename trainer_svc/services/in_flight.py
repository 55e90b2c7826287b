"""Several calls at once, bounded; the first that fails ends the others."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

__all__ = ["in_flight"]

T = TypeVar("T")


async def in_flight(calls: Sequence[Callable[[], Awaitable[T]]], at_once: int) -> list[T]:
    """Make calls in their order, at most `at_once` at a time; give their results in the same order.

    The first error is raised as it is, once the calls that were under way have ended.
    """
    gate = asyncio.Semaphore(at_once)

    async def made(call: Callable[[], Awaitable[T]]) -> T:
        async with gate:
            return await call()

    tasks = [asyncio.ensure_future(made(call)) for call in calls]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
