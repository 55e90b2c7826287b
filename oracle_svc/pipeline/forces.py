"""The stage that moves atoms: forces and stress as given, and relaxation.

Both are computed for the distinct crystals of a batch, kept in the cache, and given back in the cell of each
structure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial

import numpy as np
import structlog

from oracle_svc.cache.store import Kind, Record
from oracle_svc.calculators.base import digest_of
from oracle_svc.crystals.canonical import CanonicalForm
from oracle_svc.crystals.placement import Placement
from oracle_svc.crystals.validity import check_validity
from oracle_svc.pipeline.batch import Batch
from oracle_svc.pipeline.hull import places_on
from oracle_svc.pipeline.results import RelaxedScore
from oracle_svc.relaxation import Relaxed, RelaxSettings
from oracle_svc.status import Status
from xenolith.crystal import Crystal, CrystalBatch

__all__ = ["move_atoms"]

log = structlog.get_logger(__name__)
_LOST = "its relaxed crystal cannot be told in the cell that was sent; send a smaller cell"
_DESCRIPTION = ("lattice", "numbers", "frac_coords")
_NUMBERS = ("energy_per_atom", "max_force", "rmsd", "volume_ratio")


def move_atoms(batch: Batch) -> None:
    """Set forces, stress and relaxations, as far as they are asked for; what has no energy is not moved."""
    if batch.options.return_forces:
        _set_forces(batch)
    if batch.options.relax is not None:
        _set_relaxations(batch, batch.options.relax)


def _set_forces(batch: Batch) -> None:
    kind = Kind(component="forces", digest=batch.energies.kind.digest)
    records = batch.obtain(kind, partial(_forces, batch), long=True)
    for index, row in batch.form_of.items():
        record = records.get(row)
        if record is not None:
            place = _placement(batch.structures[index], record, batch.forms[row])
            if place is None:
                continue
            batch.scores[index].forces = place.forces(record["forces"])
            batch.scores[index].stress = place.stress(record["stress"]) if "stress" in record else None


def _forces(batch: Batch, rows: list[int]) -> Iterator[Mapping[int, Record]]:
    rows = [row for row in rows if batch.energies.get(row) is not None]
    crystals = batch.crystals(rows)
    portions = batch.resources.calculators.portions(
        crystals, with_forces=True, stop=batch.stop, structure_limit_s=batch.options.structure_limit_s
    )
    for positions, evaluation in portions:
        ends = np.cumsum(crystals.num_atoms[positions])
        done: dict[int, Record] = {}
        for place, position in enumerate(positions):
            if evaluation.statuses[place] is Status.OK and evaluation.forces is not None:
                atoms = slice(ends[place] - crystals.num_atoms[position], ends[place])
                record = _described(batch.forms[rows[position]]) | {"forces": evaluation.forces[atoms]}
                if evaluation.stress is not None:
                    record["stress"] = evaluation.stress[place]
                done[rows[position]] = record
        yield done


def _set_relaxations(batch: Batch, settings: RelaxSettings) -> None:
    digest = digest_of({"calculator": batch.energies.kind.digest, "relax": settings.digest})
    given_up: dict[int, Relaxed] = {}
    compute = partial(_relaxations, batch, settings, given_up)
    records = batch.obtain(Kind(component="relax", digest=digest), compute, long=True)
    found = {row: _from_record(record) for row, record in sorted(records.found.items())}
    outcomes = _judged(batch, given_up | found)
    for index, row in batch.form_of.items():
        outcome = outcomes.get(row)
        if outcome is None:
            failure = batch.no_energy(row)
            outcome = Relaxed(status=failure.status, message=failure.message)
        relaxation = batch.scores[index].relaxation = RelaxedScore(outcome=outcome)
        if batch.options.return_relaxed and outcome.crystal is not None:
            structure = batch.structures[index]
            place = _placement(structure, records.get(row), batch.forms[row])
            if place is None:
                relaxation.outcome = replace(outcome, status=Status.CALCULATOR_FAILED, message=_LOST)
            else:
                relaxation.crystal = place.crystal(
                    outcome.crystal.lattice, outcome.crystal.frac_coords, structure.numbers
                )
    _place(batch)


def _relaxations(
    batch: Batch, settings: RelaxSettings, given_up: dict[int, Relaxed], rows: list[int]
) -> Iterator[Mapping[int, Record]]:
    """Relax distinct crystals.

    Parameters
    ----------
    given_up
        Takes outcomes that belong to this call alone, such as that time was up.
    """
    rows = [row for row in rows if batch.energies.get(row) is not None]
    if not rows:
        return
    relaxations = batch.resources.calculators.relaxations(
        batch.crystals(rows), settings, stop=batch.stop, structure_limit_s=batch.options.structure_limit_s
    )
    for position, outcome in relaxations:
        if outcome.crystal is None or outcome.status is Status.TIMEOUT:
            given_up[rows[position]] = outcome
        else:
            yield {rows[position]: _described(batch.forms[rows[position]]) | _to_record(outcome)}


def _judged(batch: Batch, outcomes: dict[int, Relaxed]) -> dict[int, Relaxed]:
    """Put relaxed crystals through the gate that given ones go through."""
    rows = [row for row, outcome in outcomes.items() if outcome.crystal is not None]
    crystals = [outcome.crystal for outcome in outcomes.values() if outcome.crystal is not None]
    resources = batch.resources
    report = check_validity(
        CrystalBatch.from_crystals(crystals), resources.limits, resources.calculators.identity.elements
    )
    for row, status, message in zip(rows, report.statuses, report.messages, strict=True):
        if status is not Status.OK:
            steps = outcomes[row].steps
            text = f"the structure fell apart in {steps} steps: {message}"
            outcomes[row] = Relaxed(status=Status.RELAXATION_FAILED, message=text, steps=steps)
    return outcomes


def _place(batch: Batch) -> None:
    """Set where relaxed energies lie relative to the hull."""
    hull = batch.reference.hull if batch.reference is not None else None
    relaxed = {i: score.relaxation for i, score in enumerate(batch.scores) if score.relaxation is not None}
    energies = {
        i: r.outcome.energy_per_atom for i, r in relaxed.items() if r.outcome.energy_per_atom is not None
    }
    if hull is None or not energies:
        return
    for index, place in places_on(hull, batch.structures, energies).items():
        relaxed[index].e_above_hull = place.e_above_hull


def _described(form: CanonicalForm) -> Record:
    """The description of the crystal that was computed, kept in the record: its reader may have another."""
    return {f"computed.{name}": getattr(form, name) for name in _DESCRIPTION}


def _placement(crystal: Crystal, record: Record | None, form: CanonicalForm) -> Placement | None:
    """Place of a crystal's atoms in the description that was computed; None if rounding hides it."""
    try:
        return Placement.of(crystal, _computed(record, form))
    except ValueError as error:
        log.warning("no forces or relaxed crystal returned", formula=crystal.formula, error=str(error))
        return None


def _computed(record: Record | None, form: CanonicalForm) -> CanonicalForm:
    """The description in which a record was computed; the crystal's own if it was not kept."""
    if record is None:
        return form
    description = {name: record[f"computed.{name}"] for name in _DESCRIPTION}
    return CanonicalForm(**description, invariants=form.invariants)


def _to_record(outcome: Relaxed) -> Record:
    return {
        "status": int(outcome.status),
        "message": outcome.message,
        "converged": outcome.converged,
        "steps": outcome.steps,
        **{name: getattr(outcome, name) for name in _NUMBERS},
        **{f"relaxed.{name}": getattr(outcome.crystal, name) for name in _DESCRIPTION},
    }


def _from_record(record: Record) -> Relaxed:
    crystal = Crystal(**{name: record[f"relaxed.{name}"] for name in _DESCRIPTION})
    return Relaxed(
        status=Status(record["status"]),
        message=record["message"],
        converged=record["converged"],
        steps=record["steps"],
        crystal=crystal,
        **{name: record[name] for name in _NUMBERS},
    )
