"""Many structures relaxed together: every evaluation serves the next move of all of them.

Structures take no notice of each other: each has its own walk, leaves when it is done, and another takes its
place.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from threading import Lock

import numpy as np

from oracle_svc.calculators.base import Calculator, Evaluation
from oracle_svc.relaxation.settings import RelaxSettings
from oracle_svc.relaxation.walk import Relaxed, Walk
from oracle_svc.status import Status
from xenolith.crystal import CrystalBatch

__all__ = ["ATOMS_AT_ONCE", "WalkQueue", "obstacle", "relax", "walk_together"]

ATOMS_AT_ONCE = 256
"""Atoms of one evaluation, unless a single structure has more."""


@dataclass(kw_only=True)
class _Active:
    index: int
    walk: Walk
    atoms: int
    seconds: float = 0.0
    """Its share of the time spent so far."""


class WalkQueue:
    """Structures that wait for their relaxation, largest first. Thread-safe.

    Parameters
    ----------
    batch
        The structures.
    settings
        How to relax them.
    """

    def __init__(self, batch: CrystalBatch, settings: RelaxSettings) -> None:
        self._batch = batch
        self._settings = settings
        self._waiting: list[int] = np.argsort(-batch.num_atoms, kind="stable").tolist()
        self._lock = Lock()

    def take(self, room: int, *, anyway: bool) -> tuple[int, Walk] | None:
        """Index and walk of the largest structure of at most `room` atoms; of the first if `anyway`."""
        with self._lock:
            sizes = self._batch.num_atoms
            found = (i for i, index in enumerate(self._waiting) if anyway or sizes[index] <= room)
            place = next(found, None)
            if place is None:
                return None
            index = self._waiting.pop(place)
        return index, Walk(self._batch[index], self._settings)


def relax(
    batch: CrystalBatch,
    calculator: Calculator,
    settings: RelaxSettings | None = None,
    *,
    limit_s: float = float("inf"),
    atoms_at_once: int = ATOMS_AT_ONCE,
) -> list[Relaxed]:
    """Relax the structures of a batch with a calculator of this process, in the batch's order.

    Parameters
    ----------
    batch, calculator, settings
        What to relax, with which forces, and how.
    limit_s
        Time limit of a structure, seconds: its share, by atoms, of the evaluations that it took part in.
    atoms_at_once
        Atoms of one evaluation.

    Raises
    ------
    ValueError
        If the calculator gives no forces, or no stress although cells are to relax.
    """
    chosen = settings or RelaxSettings()
    problem = obstacle(calculator.id, calculator.offers_forces, calculator.offers_stress, chosen)
    if problem is not None:
        raise ValueError(problem)

    def evaluate(part: CrystalBatch) -> Evaluation:
        return calculator.evaluate(part, with_forces=True)

    queue = WalkQueue(batch, chosen)
    done = dict(walk_together(queue, evaluate, limit_s=limit_s, atoms_at_once=atoms_at_once))
    return [done[index] for index in range(len(batch))]


def obstacle(name: str, forces: bool, stress: bool, settings: RelaxSettings) -> str | None:
    """Why a calculator that offers these cannot relax as asked, or None."""
    if not forces:
        return f"the calculator {name} gives no forces, without which nothing relaxes"
    if settings.relax_cell and not stress:
        return f"the calculator {name} gives no stress: relax with relax_cell = false"
    return None


def walk_together(
    queue: WalkQueue,
    evaluate: Callable[[CrystalBatch], Evaluation],
    *,
    limit_s: float,
    atoms_at_once: int = ATOMS_AT_ONCE,
) -> Iterator[tuple[int, Relaxed]]:
    """Relax what the queue holds, and yield each outcome with its index as soon as it is there.

    Parameters
    ----------
    queue
        The structures; several threads may share it.
    evaluate
        Gives energies, forces and stress.
    limit_s, atoms_at_once
        As for `relax`.
    """
    active: list[_Active] = []
    while True:
        _fill(active, queue, atoms_at_once)
        if not active:
            return
        begin = time.perf_counter()
        evaluation = evaluate(CrystalBatch.from_crystals(item.walk.crystal for item in active))
        per_atom = (time.perf_counter() - begin) / sum(item.atoms for item in active)
        staying: list[_Active] = []
        for item, ended in zip(active, _advance(active, evaluation), strict=True):
            item.seconds += per_atom * item.atoms
            outcome = item.walk.time_out(limit_s) if ended is None and item.seconds > limit_s else ended
            if outcome is None:
                staying.append(item)
            else:
                yield item.index, outcome
        active = staying


def _fill(active: list[_Active], queue: WalkQueue, atoms_at_once: int) -> None:
    while True:
        room = atoms_at_once - sum(item.atoms for item in active)
        taken = queue.take(room, anyway=not active)
        if taken is None:
            return
        index, walk = taken
        active.append(_Active(index=index, walk=walk, atoms=max(1, walk.crystal.num_atoms)))


def _advance(active: Sequence[_Active], evaluation: Evaluation) -> Iterator[Relaxed | None]:
    end = 0
    for position, item in enumerate(active):
        begin, end = end, end + item.walk.crystal.num_atoms
        status = evaluation.statuses[position]
        if status is not Status.OK:
            yield item.walk.refuse(status, evaluation.messages[position])
            continue
        if evaluation.forces is None:
            raise ValueError("the calculator gave no forces")
        yield item.walk.advance(
            float(evaluation.energy_per_atom[position]),
            evaluation.forces[begin:end],
            None if evaluation.stress is None else evaluation.stress[position],
        )
