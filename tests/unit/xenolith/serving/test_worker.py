"""Turns of long computations in one thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Generator, Iterator

from xenolith.serving import Stop, Worker


def test_a_computation_that_pauses_lets_others_have_their_turn() -> None:
    passed = threading.Event()

    def long(_: Stop) -> Iterator[str | None]:
        while not passed.is_set():
            yield None  # for ever, were it not for the other call
        yield "first"
        yield "second"

    async def main() -> None:
        worker = Worker("one")
        items = worker.iterate(long)
        first = asyncio.ensure_future(anext(items))
        await worker.run(passed.set)
        assert await first == "first"
        assert [item async for item in items] == ["second"]
        worker.close()

    asyncio.run(main())


def test_a_result_of_a_computation_in_turns_comes_back_even_if_it_is_nothing() -> None:
    def computed(_: Stop) -> Generator[None, None, int | None]:
        yield
        yield
        return None

    async def main() -> None:
        worker = Worker("one")
        assert await worker.run_in_turns(computed) is None
        worker.close()

    asyncio.run(main())
