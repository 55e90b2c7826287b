"""Energies of distinct crystals from a pool of calculator processes, as records that the cache keeps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from oracle_svc.cache.store import Record
from oracle_svc.crystals.canonical import CanonicalForm
from oracle_svc.pipeline.results import ScoreOptions, Stats
from oracle_svc.pools.calculator_pool import CalculatorPool
from oracle_svc.status import Outcome, Status
from xenolith.crystal import CrystalBatch

__all__ = ["energy_records"]


def energy_records(
    pool: CalculatorPool,
    forms: Sequence[CanonicalForm],
    rows: list[int],
    *,
    options: ScoreOptions,
    stats: Stats,
    failures: dict[int, Outcome],
    stop: Callable[[], bool],
) -> Iterator[Mapping[int, Record]]:
    """Yield `energy_per_atom`, and `embedding` where there is one, of some crystals at a time.

    Parameters
    ----------
    pool
        Evaluates.
    forms, rows
        Distinct crystals, and which of them.
    options
        Its time limit holds for each structure.
    stats
        Counts the calls.
    failures
        Takes what went wrong, by row; such a row is never yielded.
    stop
        Asked between portions of work.
    """
    if not rows:
        return
    batch = CrystalBatch.from_crystals(forms[row].crystal for row in rows)
    stats.calculator_calls += len(rows)
    for positions, evaluation in pool.portions(batch, stop=stop, structure_limit_s=options.structure_limit_s):
        done: dict[int, Record] = {}
        for place, position in enumerate(positions):
            row, status = rows[position], evaluation.statuses[place]
            if status is not Status.OK:
                failures[row] = Outcome(status=status, message=evaluation.messages[place])
                continue
            done[row] = {"energy_per_atom": float(evaluation.energy_per_atom[place])}
            if evaluation.embeddings is not None:
                done[row]["embedding"] = evaluation.embeddings[place]
        yield done
