"""The stage that asks second calculators for their opinion."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from statistics import fmean, stdev
from typing import Any

from oracle_svc.cache.store import Record
from oracle_svc.pipeline.auditors import AnyAuditor, Auditor
from oracle_svc.pipeline.batch import Batch
from oracle_svc.pipeline.hull import HullPlace, places_on
from oracle_svc.pipeline.measure import energy_records
from oracle_svc.pipeline.remote_auditor import RemoteAuditor
from oracle_svc.pipeline.results import Audit, Component, Score
from oracle_svc.status import Outcome, Status
from xenolith.errors import FailedPreconditionError, XenolithError

__all__ = ["ask_auditors"]

_NOTHING = Outcome(status=Status.CALCULATOR_FAILED, message="no energy came back")
_PORTION = 32
"""Structures that are sent to another oracle at a time; in between, whether the caller has gone is asked."""


def ask_auditors(batch: Batch) -> None:
    """Add what each auditor asked for says of each structure that passed the validity gate."""
    if Component.AUDIT not in batch.options.components:
        return
    for index in batch.form_of:
        batch.scores[index].outcomes[Component.AUDIT] = Outcome(status=Status.OK)
    for auditor in batch.resources.chosen_auditors(batch.options.audit_calculator_ids):
        opinions = _opinions(batch, auditor)
        for index, row in batch.form_of.items():
            opinion, score = opinions[row], batch.scores[index]
            score.audits.append(opinion)
            if opinion.status is not Status.OK and score.outcomes[Component.AUDIT].status is Status.OK:
                message = f"{auditor.id}: {opinion.message}"
                score.outcomes[Component.AUDIT] = Outcome(status=opinion.status, message=message)
    for index in batch.form_of:
        _convene(batch.scores[index])


def _convene(score: Score) -> None:
    """Make the judges of a structure one, if there are several and each of them places it."""
    energies = [score.e_above_hull, *(audit.e_above_hull for audit in score.audits)]
    placed = [energy for energy in energies if energy is not None]
    if len(placed) == len(energies) > 1:
        score.committee_e_above_hull = fmean(placed)
        score.committee_spread = stdev(placed)


def _opinions(batch: Batch, auditor: AnyAuditor) -> list[Audit]:
    """Opinion of an auditor on each distinct crystal."""
    if not batch.forms:
        return []
    return _asked(batch, auditor) if isinstance(auditor, RemoteAuditor) else _measured(batch, auditor)


def _asked(batch: Batch, auditor: RemoteAuditor) -> list[Audit]:
    """Return the audits of another oracle. Should it fall silent, that is its audit of all that is left."""
    settings: dict[str, Any] = {"use_cache": batch.options.use_cache}
    if batch.options.structure_limit_s is not None:
        settings["structure_timeout_s"] = batch.options.structure_limit_s
    opinions: list[Audit] = []
    while len(opinions) < len(batch.forms):
        batch.check_stop()
        start = len(opinions)
        rows = range(start, min(start + min(_PORTION, auditor.max_batch), len(batch.forms)))
        try:
            scores = auditor.ask(batch.crystals(rows), settings)
        except FailedPreconditionError:
            raise  # another scale than the one that this oracle declares
        except XenolithError as error:
            return opinions + [auditor.refusal(error)] * (len(batch.forms) - start)
        opinions += [auditor.opinion(index, score) for index, score in enumerate(scores)]
        batch.stats.cache_hits += scores.cache_hits
        batch.stats.cache_misses += scores.cache_misses
        batch.stats.calculator_calls += scores.calculator_calls
        batch.warnings += [f"{auditor.id} at {auditor.address}: {warning}" for warning in scores.warnings]
    return opinions


def _measured(batch: Batch, auditor: Auditor) -> list[Audit]:
    """Return the audits by an auditor of this oracle: its energies, and distances to its hull."""
    failures: dict[int, Outcome] = {}

    def compute(rows: list[int]) -> Iterator[Mapping[int, Record]]:
        return energy_records(batch, auditor.pool(), rows, failures=failures)

    records = batch.obtain(auditor.energy_kind, compute)
    energies = {row: float(record["energy_per_atom"]) for row, record in records.found.items()}
    hull = auditor.hull()
    places = {} if hull is None else places_on(hull, batch.crystals(range(len(batch.forms))), energies)
    return [
        _opinion(auditor, energies[row], places.get(row))
        if row in energies
        else _refusal(auditor, failures.get(row, _NOTHING))
        for row in range(len(batch.forms))
    ]


def _opinion(auditor: Auditor, energy_per_atom: float, place: HullPlace | None) -> Audit:
    """An energy, and where it lies; an auditor without a hull gives the energy alone."""
    place = place or HullPlace(status=Status.OK, message="")
    return Audit(
        calculator_id=auditor.id,
        status=place.status,
        message=place.message,
        energy_per_atom=energy_per_atom,
        e_above_hull=place.e_above_hull,
        formation_energy_per_atom=place.formation_energy_per_atom,
        hull_id=auditor.hull_id,
    )


def _refusal(auditor: Auditor, why: Outcome) -> Audit:
    return Audit(calculator_id=auditor.id, status=why.status, message=why.message)
