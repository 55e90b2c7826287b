"""The stages that measure what belongs to a crystal alone: energy, embedding and AMD vector.

It does not depend on the batch in which the crystal travels, and so is kept in the cache.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

from oracle_svc.cache.store import Record
from oracle_svc.crystals.amd import amd_vectors
from oracle_svc.pipeline.batch import Batch
from oracle_svc.pools.calculator_pool import CalculatorPool
from oracle_svc.status import Outcome, Status

__all__ = ["energy_records", "look_up", "measure_amd", "measure_energies"]

_AMD_PORTION = 32


def look_up(batch: Batch) -> None:
    """Read energies and AMD vectors that are needed from the cache, in one exchange."""
    kinds = [batch.energies.kind] if batch.wants_energy else []
    kinds += [batch.amd.kind] if batch.wants_amd else []
    for records in batch.look_up(kinds):
        if records.kind == batch.energies.kind:
            batch.energies = records
        else:
            batch.amd = records


def measure_energies(batch: Batch) -> None:
    """Compute the energies that the cache did not have."""
    if batch.wants_energy:
        failures = batch.energies.failures
        compute = partial(energy_records, batch, batch.resources.calculators, failures=failures)
        batch.complete(batch.energies, compute, long=True)


def measure_amd(batch: Batch) -> None:
    """Compute the AMD vectors that the cache did not have."""
    if batch.wants_amd:
        batch.complete(batch.amd, partial(_amd_records, batch))


def energy_records(
    batch: Batch, pool: CalculatorPool, rows: list[int], *, failures: dict[int, Outcome]
) -> Iterator[Mapping[int, Record]]:
    """Yield `energy_per_atom`, and `raw_energy_per_atom` and `embedding` where the calculator gives them.

    They are of some distinct crystals at a time.

    Parameters
    ----------
    pool
        Evaluates; the oracle's calculator, or an auditor's.
    rows
        Which crystals.
    failures
        Takes what went wrong, by row; such a row is never yielded.
    """
    if not rows:
        return
    batch.count(rows, calculator_calls=1)
    limit_s = batch.options.structure_limit_s
    for positions, evaluation in pool.portions(
        batch.crystals(rows), stop=batch.stop, structure_limit_s=limit_s
    ):
        done: dict[int, Record] = {}
        for place, position in enumerate(positions):
            row, status = rows[position], evaluation.statuses[place]
            if status is not Status.OK:
                failures[row] = Outcome(status=status, message=evaluation.messages[place])
                continue
            done[row] = {"energy_per_atom": float(evaluation.energy_per_atom[place])}
            if evaluation.raw_energy_per_atom is not None:
                done[row]["raw_energy_per_atom"] = float(evaluation.raw_energy_per_atom[place])
            if evaluation.embeddings is not None:
                done[row]["embedding"] = evaluation.embeddings[place]
        yield done


def _amd_records(batch: Batch, rows: list[int]) -> Iterator[Mapping[int, Record]]:
    for start in range(0, len(rows), _AMD_PORTION):
        batch.check_stop()
        part = rows[start : start + _AMD_PORTION]
        measured = amd_vectors(batch.crystals(part), vector=batch.resources.amd_engine.vector)
        yield {
            row: {"amd": vector}
            for row, vector, status in zip(part, measured.vectors, measured.statuses, strict=True)
            if status is Status.OK
        }
