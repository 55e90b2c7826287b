"""Several calls at once."""

import asyncio

import pytest

from trainer_svc.services.in_flight import in_flight


def test_results_keep_the_order_of_the_calls_and_no_more_run_than_allowed() -> None:
    now, most = 0, 0

    async def call(number: int) -> int:
        nonlocal now, most
        now += 1
        most = max(most, now)
        for _ in range(10 - number):
            await asyncio.sleep(0)
        now -= 1
        return number

    async def scenario() -> list[int]:
        return await in_flight([lambda number=number: call(number) for number in range(8)], 3)

    assert asyncio.run(scenario()) == list(range(8))
    assert most == 3


def test_the_first_error_is_raised_as_it_is_and_ends_the_others() -> None:
    ended: list[str] = []

    async def waits() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("waits")

    async def fails() -> None:
        raise LookupError("gone")

    async def scenario() -> None:
        await in_flight([waits, fails], 2)

    with pytest.raises(LookupError, match="gone"):
        asyncio.run(scenario())
    assert ended == ["waits"]
