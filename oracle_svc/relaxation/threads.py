"""Relaxations shared out among threads, each of which keeps one calculator process busy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from queue import SimpleQueue
from threading import Event

from oracle_svc.calculators.base import Evaluation
from oracle_svc.relaxation.batch import WalkQueue, walk_together
from oracle_svc.relaxation.walk import Relaxed
from xenolith.crystal import CrystalBatch

__all__ = ["relax_side_by_side"]


def relax_side_by_side(
    queue: WalkQueue,
    evaluate: Callable[[CrystalBatch, Callable[[], bool]], Evaluation],
    *,
    threads: int,
    limit_s: float,
    atoms_at_once: int,
) -> Iterator[tuple[int, Relaxed]]:
    """Relax what the queue holds on several threads, and yield each outcome as soon as it is there.

    Parameters
    ----------
    queue
        The structures.
    evaluate
        Gives energies, forces and stress; it may stop early once its second argument says True.
    threads
        Evaluations side by side.
    limit_s, atoms_at_once
        As for `relax`.

    Raises
    ------
    Exception
        Whatever `evaluate` raises; the other threads end at their next evaluation.
    """
    over = Event()
    results: SimpleQueue[tuple[int, Relaxed] | BaseException | None] = SimpleQueue()

    def work() -> None:
        try:
            walks = walk_together(
                queue, lambda part: evaluate(part, over.is_set), limit_s=limit_s, atoms_at_once=atoms_at_once
            )
            for found in walks:
                results.put(found)
        except BaseException as error:  # noqa: BLE001 - it is raised where the results are read
            results.put(error)
        else:
            results.put(None)

    with ThreadPoolExecutor(threads, thread_name_prefix="relaxation") as pool:
        for _ in range(threads):
            pool.submit(copy_context().run, work)
        working = threads
        try:
            while working:
                found = results.get()
                if isinstance(found, BaseException):
                    raise found
                if found is None:
                    working -= 1
                else:
                    yield found
        finally:
            over.set()
