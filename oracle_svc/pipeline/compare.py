"""The stage that compares structures with what is known and with each other: novelty and uniqueness.

`known.novelty.sameness` says when two crystals are the same; here that is asked for a batch, and the answers
are written into its scores.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from oracle_svc.crystals.elements import element_name
from oracle_svc.crystals.elmd import cumulative, positions_of
from oracle_svc.known.novelty.continuous import graded_uniqueness
from oracle_svc.known.novelty.known_index import KnownCrystals
from oracle_svc.known.novelty.sameness import (
    PairJudge,
    matched_known,
    matched_pairs,
    nearest_of,
    uniqueness,
)
from oracle_svc.pipeline.batch import Batch
from oracle_svc.pipeline.results import Component, Score
from oracle_svc.status import Outcome, Status
from xenolith.crystal import Crystal

__all__ = ["compare"]

_NOTHING_KNOWN = Outcome(
    status=Status.NO_REFERENCE,
    message="there are no known structures to compare with: the reference is a hull alone; start the oracle"
    " with a --reference that has structures, or give known ones with the request",
)
Vectors = Mapping[int, NDArray[np.float64]]
"""(k,) AMD vectors, Angstrom, by index in the batch."""
Totals = Mapping[int, NDArray[np.float64] | None]
"""Compositions as running totals along the Pettifor scale, by index; None where an element is not on it."""


def compare(batch: Batch) -> None:
    """Set novelty, uniqueness and their graded forms, as far as they are asked for."""
    if not batch.wants_amd:
        return
    amd = _vectors(batch)
    asked = batch.options.components
    known = _known(batch) if asked & {Component.NOVELTY, Component.CONTINUOUS} else []
    totals = {index: cumulative(batch.structures[index].numbers) for index in amd}
    if Component.NOVELTY in asked:
        _novelty(batch, amd, totals, known)
    if Component.UNIQUENESS in asked:
        _uniqueness(batch, amd)
    if Component.CONTINUOUS in asked:
        _graded(batch, amd, totals, known)


def _vectors(batch: Batch) -> dict[int, NDArray[np.float64]]:
    """AMD vectors of the structures that have one; the others fail."""
    amd: dict[int, NDArray[np.float64]] = {}
    asked = batch.need_amd
    failed = Outcome(status=Status.BAD_CELL, message="its neighbours are too far apart for AMD")
    for index, row in batch.form_of.items():
        score, record = batch.scores[index], batch.amd.get(row)
        if record is None:
            score.outcomes.update(dict.fromkeys(asked, failed))
            continue
        amd[index] = record["amd"]
        fine = Outcome(status=Status.OK, cached=row in batch.amd.cached)
        score.outcomes.update(dict.fromkeys(asked, fine))
        if batch.options.return_amd:
            score.amd = record["amd"]
    return amd


def _known(batch: Batch) -> list[KnownCrystals]:
    """Everything that is known, the caller's own crystals included."""
    known: list[KnownCrystals] = [batch.reference] if batch.reference is not None else []
    if batch.options.known is None:
        return known
    crystals, warnings = batch.resources.known_crystals(batch.options.known, batch.stop)
    batch.warnings.extend(warnings)
    return [*known, crystals]


def _novelty(batch: Batch, amd: Vectors, totals: Totals, known: Sequence[KnownCrystals]) -> None:
    if not any(len(crystals.index) for crystals in known):
        # Beside nothing everything would be novel.
        _fail(batch, Component.NOVELTY, dict.fromkeys(amd, _NOTHING_KNOWN))
        return
    distances: dict[str, float | None] = {}
    for index, vector in amd.items():
        score, total = batch.scores[index], totals[index]
        _set_nearest(score, vector, known, batch.provenance.amd_tolerance)
        if total is None:
            continue
        if score.formula not in distances:
            apart = [crystals.index.composition_distance(total) for crystals in known]
            distances[score.formula] = min((d for d in apart if d is not None), default=None)
        score.elmd_distance = distances[score.formula]
    judge = _structure_matcher(batch)
    if judge is None:
        return
    matched, undecided = matched_known(_primitive(batch, amd), _formulas(batch, amd), amd, known, judge)
    for index in amd:
        batch.scores[index].novel = index not in matched
    for index in _fail(batch, Component.NOVELTY, undecided):
        batch.scores[index].novel = None


def _set_nearest(
    score: Score, amd: NDArray[np.float64], known: Sequence[KnownCrystals], tolerance: float
) -> None:
    """Set `novel`, `nearest_reference` and `amd_distance` of one structure."""
    candidates = [nearest_of(crystals.index, score.formula, amd, tolerance) for crystals in known]
    found = [candidate for candidate in candidates if candidate is not None]
    nearest = min(found, key=lambda candidate: candidate.distance, default=None)
    score.novel = nearest is None or nearest.distance > tolerance
    if nearest is not None:
        score.nearest_reference, score.amd_distance = nearest.id, nearest.distance


def _uniqueness(batch: Batch, amd: Vectors) -> None:
    if batch.separate:
        for index in amd:
            batch.scores[index].unique = True
        return
    same: list[tuple[int, int]] | None = None
    undecided: dict[int, Outcome] = {}
    formulas, judge = _formulas(batch, amd), _structure_matcher(batch)
    if judge is not None:
        same, undecided = matched_pairs(_primitive(batch, amd), formulas, judge)
    # Names order structures of one formula; they cost time, and the only structure of a formula needs none.
    shared = Counter(formulas.values())
    names = {
        index: _content_name(batch.forms[batch.form_of[index]].key, batch.structures[index])
        for index, formula in formulas.items()
        if shared[formula] > 1
    }
    tolerance = batch.provenance.amd_tolerance
    for index, result in uniqueness(formulas, amd, names, tolerance, same=same).items():
        score = batch.scores[index]
        score.unique, score.duplicate_of = result.unique, result.duplicate_of
        score.batch_amd_distance = result.nearest_distance
    for index in _fail(batch, Component.UNIQUENESS, undecided):
        batch.scores[index].unique = batch.scores[index].duplicate_of = None


def _graded(batch: Batch, amd: Vectors, totals: Totals, known: Sequence[KnownCrystals]) -> None:
    placed = {index: total for index, total in totals.items() if total is not None}
    members = 1 if batch.separate else len(batch.structures)
    for index, value in graded_uniqueness(placed, amd, members).items():
        batch.scores[index].continuous_uniqueness = value
    if not any(len(crystals.index) for crystals in known):
        _fail(batch, Component.CONTINUOUS, dict.fromkeys(amd, _NOTHING_KNOWN))
        return
    for index, total in placed.items():
        if batch.stop():
            return  # the stage after this one says so
        apart = [crystals.index.graded_distance(total, amd[index]) for crystals in known]
        batch.scores[index].continuous_novelty = min((d for d in apart if d is not None), default=None)
    off_scale = {index: _off_scale(batch, index) for index, total in totals.items() if total is None}
    _fail(batch, Component.CONTINUOUS, off_scale)


def _off_scale(batch: Batch, index: int) -> Outcome:
    numbers = np.unique(batch.structures[index].numbers)
    names = ", ".join(element_name(int(z)) for z in numbers[positions_of(numbers) < 0])
    return Outcome(
        status=Status.UNSUPPORTED_ELEMENT, message=f"{names} has no place on the modified Pettifor scale"
    )


def _fail(batch: Batch, component: Component, outcomes: Mapping[int, Outcome]) -> Mapping[int, Outcome]:
    """Set outcomes of structures about which nothing can be said; returns them."""
    for index, outcome in outcomes.items():
        batch.scores[index].outcomes[component] = outcome
    return outcomes


def _structure_matcher(batch: Batch) -> PairJudge | None:
    """StructureMatcher as the batch wants it; None if AMD decides."""
    if batch.options.matcher is None:
        return None
    return partial(batch.resources.matcher.verdicts, options=batch.options.matcher, stop=batch.stop)


def _formulas(batch: Batch, amd: Vectors) -> dict[int, str]:
    return {index: batch.scores[index].formula for index in amd}


def _primitive(batch: Batch, amd: Vectors) -> dict[int, Crystal]:
    return {index: batch.forms[batch.form_of[index]].crystal for index in amd}


def _content_name(key: str, crystal: Crystal) -> tuple[str, str]:
    """Name that orders crystals by content alone: the canonical key, then a digest of the numbers as sent."""
    content = hashlib.sha256(
        crystal.lattice.tobytes() + crystal.numbers.tobytes() + crystal.frac_coords.tobytes()
    )
    return key, content.hexdigest()
