"""The stage that moves atoms: forces and stress as given, and relaxation.

Both are computed for the distinct crystals of a batch, kept in the cache, and told in everybody's own cell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import numpy as np
import structlog

from oracle_svc.cache.store import Kind, Record
from oracle_svc.calculators.base import digest_of
from oracle_svc.crystals.canonical import CanonicalForm
from oracle_svc.crystals.placement import Placement
from oracle_svc.crystals.validity import check_validity
from oracle_svc.pipeline.measurements import Measurements
from oracle_svc.pipeline.resources import Instruments
from oracle_svc.pipeline.results import RelaxedScore, Score, ScoreOptions
from oracle_svc.relaxation import Relaxed, RelaxSettings
from oracle_svc.status import Status
from xenolith.crystal import Crystal, CrystalBatch

__all__ = ["ForcesStage"]

log = structlog.get_logger(__name__)
_LOST = "its relaxed crystal cannot be told in the cell that was sent; send a smaller cell"
_DESCRIPTION = ("lattice", "numbers", "frac_coords")
_NUMBERS = ("energy_per_atom", "max_force", "rmsd", "volume_ratio")


class ForcesStage:
    """Forces and relaxations of one batch.

    Parameters
    ----------
    instruments, options
        What computes, and what is asked for.
    measured, forms
        Distinct crystals and their energies: what has no energy is not moved.
    stop
        Asked between portions of work.
    """

    def __init__(
        self,
        instruments: Instruments,
        options: ScoreOptions,
        measured: Measurements,
        forms: list[CanonicalForm],
        stop: Callable[[], bool],
    ) -> None:
        self._instruments = instruments
        self._options = options
        self._measured = measured
        self._forms = forms
        self._stop = stop
        self._given_up: dict[int, Relaxed] = {}
        """Outcomes that belong to this call alone, such as that time was up."""

    def run(self, batch: CrystalBatch, scores: list[Score], form_of: Mapping[int, int]) -> None:
        """Fill in what was asked for.

        Parameters
        ----------
        batch, scores
            Structures and what is known of them; completed here.
        form_of
            Distinct crystal of each structure that has one.
        """
        if self._options.return_forces:
            self._tell_forces(batch, scores, form_of)
        if self._options.relax is not None:
            self._tell_relaxations(batch, scores, form_of, self._options.relax)

    def _tell_forces(self, batch: CrystalBatch, scores: list[Score], form_of: Mapping[int, int]) -> None:
        kind = Kind(component="forces", digest=self._instruments.energy_kind.digest)
        records = self._measured.obtain(kind, self._forces)
        for index, row in form_of.items():
            record = records[row]
            if record is not None:
                place = _placement(batch[index], record, self._forms[row])
                if place is None:
                    continue
                scores[index].forces = place.forces(record["forces"])
                scores[index].stress = place.stress(record["stress"]) if "stress" in record else None

    def _forces(self, rows: list[int]) -> Iterator[Mapping[int, Record]]:
        rows = [row for row in rows if self._measured.energies[row] is not None]
        batch = CrystalBatch.from_crystals(self._forms[row].crystal for row in rows)
        portions = self._instruments.calculators.portions(
            batch, with_forces=True, stop=self._stop, structure_limit_s=self._options.structure_limit_s
        )
        for positions, evaluation in portions:
            ends = np.cumsum(batch.num_atoms[positions])
            done: dict[int, Record] = {}
            for place, position in enumerate(positions):
                if evaluation.statuses[place] is Status.OK and evaluation.forces is not None:
                    atoms = slice(ends[place] - batch.num_atoms[position], ends[place])
                    record = _described(self._forms[rows[position]]) | {"forces": evaluation.forces[atoms]}
                    if evaluation.stress is not None:
                        record["stress"] = evaluation.stress[place]
                    done[rows[position]] = record
            yield done

    def _tell_relaxations(
        self,
        batch: CrystalBatch,
        scores: list[Score],
        form_of: Mapping[int, int],
        settings: RelaxSettings,
    ) -> None:
        digest = digest_of({"calculator": self._instruments.energy_kind.digest, "relax": settings.digest})
        records = self._measured.obtain(Kind(component="relax", digest=digest), self._relaxations)
        found = {row: _from_record(record) for row, record in enumerate(records) if record is not None}
        outcomes = self._judged(self._given_up | found)
        for index, row in form_of.items():
            outcome = outcomes.get(row)
            if outcome is None:
                failure = self._measured.failure(row)
                outcome = Relaxed(status=failure.status, message=failure.message)
            relaxation = scores[index].relaxation = RelaxedScore(outcome=outcome)
            if self._options.return_relaxed and outcome.crystal is not None:
                place = _placement(batch[index], records[row], self._forms[row])
                if place is None:
                    relaxation.outcome = replace(outcome, status=Status.CALCULATOR_FAILED, message=_LOST)
                else:
                    relaxation.crystal = place.crystal(
                        outcome.crystal.lattice, outcome.crystal.frac_coords, batch[index].numbers
                    )
        self._place(batch, scores)

    def _relaxations(self, rows: list[int]) -> Iterator[Mapping[int, Record]]:
        rows = [row for row in rows if self._measured.energies[row] is not None]
        settings = self._options.relax
        if settings is None or not rows:
            return
        batch = CrystalBatch.from_crystals(self._forms[row].crystal for row in rows)
        relaxations = self._instruments.calculators.relaxations(
            batch, settings, stop=self._stop, structure_limit_s=self._options.structure_limit_s
        )
        for position, outcome in relaxations:
            if outcome.crystal is None or outcome.status is Status.TIMEOUT:
                self._given_up[rows[position]] = outcome
            else:
                yield {rows[position]: _described(self._forms[rows[position]]) | _to_record(outcome)}

    def _judged(self, outcomes: dict[int, Relaxed]) -> dict[int, Relaxed]:
        """Put relaxed crystals through the gate that given ones go through."""
        rows = [row for row, outcome in outcomes.items() if outcome.crystal is not None]
        crystals = [outcome.crystal for outcome in outcomes.values() if outcome.crystal is not None]
        report = check_validity(
            CrystalBatch.from_crystals(crystals),
            self._instruments.limits,
            self._instruments.calculators.identity.elements,
        )
        for row, status, message in zip(rows, report.statuses, report.messages, strict=True):
            if status is not Status.OK:
                text = f"the structure fell apart in {outcomes[row].steps} steps: {message}"
                outcomes[row] = Relaxed(
                    status=Status.RELAXATION_FAILED, message=text, steps=outcomes[row].steps
                )
        return outcomes

    def _place(self, batch: CrystalBatch, scores: list[Score]) -> None:
        """Set where relaxed energies lie relative to the hull."""
        hull = self._instruments.background.hull if self._instruments.background else None
        relaxed = {i: s.relaxation for i, s in enumerate(scores) if s.relaxation is not None}
        energies = {
            i: r.outcome.energy_per_atom for i, r in relaxed.items() if r.outcome.energy_per_atom is not None
        }
        if hull is None or not energies:
            return
        result = hull.evaluate(batch.take(list(energies)), np.array(list(energies.values())))
        for position, index in enumerate(energies):
            if result.statuses[position] is Status.OK:
                relaxed[index].e_above_hull = float(result.e_above_hull[position])


def _described(form: CanonicalForm) -> Record:
    """The description in which something is computed: whoever finds it may have another."""
    return {f"computed.{name}": getattr(form, name) for name in _DESCRIPTION}


def _placement(crystal: Crystal, record: Record | None, form: CanonicalForm) -> Placement | None:
    """Where a crystal's atoms are in the description that was computed; None if rounding hides it."""
    try:
        return Placement.of(crystal, _computed(record, form))
    except ValueError as error:
        log.warning("no forces or relaxed crystal told", formula=crystal.formula, error=str(error))
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
