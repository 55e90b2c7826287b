"""What a worker says of the work that waits for it."""

import asyncio
import threading

from xenolith.serving import Worker


def depth(worker: Worker) -> float:
    return next(one.value for one in worker.metric_samples("x") if one.name == "x_queue_depth")


def test_work_that_waits_is_counted_until_it_begins_or_is_given_up() -> None:
    async def main() -> None:
        worker, gate, begun = Worker("test"), threading.Event(), threading.Event()

        def hold() -> None:
            begun.set()
            gate.wait()

        first = asyncio.create_task(worker.run(hold))
        await asyncio.to_thread(begun.wait)
        assert depth(worker) == 0
        second, third = (asyncio.create_task(worker.run(gate.wait)) for _ in range(2))
        await asyncio.sleep(0)
        assert depth(worker) == 2
        third.cancel()
        await asyncio.gather(third, return_exceptions=True)
        assert depth(worker) == 1
        gate.set()
        await asyncio.gather(first, second)
        assert depth(worker) == 0
        waited = next(one for one in worker.metric_samples("x") if one.name == "x_queue_seconds")
        assert waited.buckets[-1] == (float("inf"), 2)

    asyncio.run(main())
