"""The first stage: the validity gate, and which structures are one and the same crystal."""

from __future__ import annotations

from collections import Counter

from oracle_svc.crystals.canonical import CanonicalForm, same_crystal
from oracle_svc.pipeline.batch import Batch
from oracle_svc.pipeline.results import Component
from oracle_svc.status import Outcome, Status

__all__ = ["recognise"]

_SKIPPED = Outcome(status=Status.SKIPPED, message="it failed the validity gate")


def recognise(batch: Batch) -> None:
    """Judge validity, and find the distinct crystals."""
    known = batch.resources.recogniser.recognise(batch.structures, use_cache=batch.options.use_cache)
    rows_at: dict[str, list[int]] = {}
    skipped = dict.fromkeys(batch.options.components - {Component.VALIDITY}, _SKIPPED)
    for index, (score, found) in enumerate(zip(batch.scores, known, strict=True)):
        outcome = batch.refused.get(index, found.outcome)
        score.valid = outcome.status is Status.OK
        score.outcomes[Component.VALIDITY] = outcome
        score.min_distance, score.density = found.min_distance, found.density
        score.volume_per_atom, score.formula = found.volume_per_atom, found.formula
        if not score.valid or found.form is None:
            score.outcomes.update(skipped)
            continue
        score.charge_neutral = found.charge_neutral
        batch.form_of[index] = _row_of(found.form, batch.forms, rows_at)
    if batch.journal is not None:
        structures = Counter(batch.form_of.values())
        rows = range(len(batch.forms))
        batch.journal.begin([structures[row] for row in rows], len(batch.structures) - len(batch.form_of))


def _row_of(form: CanonicalForm, forms: list[CanonicalForm], rows_at: dict[str, list[int]]) -> int:
    """Row of a crystal among the distinct ones; a new one if it is not among them.

    Parameters
    ----------
    rows_at
        Rows by the addresses of their crystals.
    """
    candidates = dict.fromkeys(row for address in form.addresses for row in rows_at.get(address, ()))
    for row in candidates:
        if forms[row] is form or same_crystal(forms[row], form):
            return row
    forms.append(form)
    for address in form.addresses:
        rows_at.setdefault(address, []).append(len(forms) - 1)
    return len(forms) - 1
