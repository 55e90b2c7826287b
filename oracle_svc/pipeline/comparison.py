"""Compares the crystals of a batch with what is known and with each other: novelty and uniqueness."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import combinations

import numpy as np

from oracle_svc.crystals.amd import chebyshev
from oracle_svc.known.novelty.matcher import MatcherOptions, PairMatcher, Verdict
from oracle_svc.known.novelty.sameness import (
    Forest,
    KnownCrystals,
    Nearest,
    groups_by_formula,
    nearest_of,
    uniqueness,
)
from oracle_svc.pipeline.results import Score
from oracle_svc.status import Outcome, Status
from xenolith.contract.structure_messages import StructureMessage
from xenolith.crystal import Crystal

__all__ = ["content_name", "fill_novelty", "fill_uniqueness", "matched_known", "matched_pairs"]

_PAIRS_AT_ONCE = 16


def fill_novelty(score: Score, amd: np.ndarray, known: list[KnownCrystals], tolerance: float) -> None:
    """Set `novel`, `nearest_reference` and `amd_distance` of one structure."""
    candidates = [nearest_of(crystals.index, score.formula, amd, tolerance) for crystals in known]
    found = [candidate for candidate in candidates if candidate is not None]
    nearest: Nearest | None = min(found, key=lambda candidate: candidate.distance, default=None)
    score.novel = nearest is None or nearest.distance > tolerance
    if nearest is not None:
        score.nearest_reference, score.amd_distance = nearest.id, nearest.distance


def fill_uniqueness(
    scores: Mapping[int, Score],
    amd: Mapping[int, np.ndarray],
    names: Mapping[int, tuple[str, str]],
    tolerance: float,
    *,
    same: list[tuple[int, int]] | None = None,
) -> None:
    """Set `unique`, `duplicate_of` and `batch_amd_distance` of the structures of a batch."""
    formulas = {index: score.formula for index, score in scores.items()}
    for index, result in uniqueness(formulas, amd, names, tolerance, same=same).items():
        scores[index].unique = result.unique
        scores[index].duplicate_of = result.duplicate_of
        scores[index].batch_amd_distance = result.nearest_distance


def matched_pairs(
    crystals: Mapping[int, Crystal],
    formulas: Mapping[int, str],
    matcher: PairMatcher,
    options: MatcherOptions,
    stop: Callable[[], bool],
) -> tuple[list[tuple[int, int]], dict[int, Outcome]]:
    """Pairs that StructureMatcher calls the same, and the structures about which it could not decide.

    A pair that a chain of sames has joined already is not compared: it changes nothing.

    Returns
    -------
    same
        Pairs of indices.
    undecided
        TIMEOUT or CALCULATOR_FAILED for each structure of a pair without a verdict that nothing else joins.
    """
    pending = [pair for members in groups_by_formula(formulas) for pair in combinations(members, 2)]
    same: list[tuple[int, int]] = []
    open_questions: list[tuple[int, int, Verdict]] = []
    joined = Forest()
    while pending:
        part, pending = pending[:_PAIRS_AT_ONCE], pending[_PAIRS_AT_ONCE:]
        part = [(a, b) for a, b in part if joined.root(a) != joined.root(b)]
        verdicts = matcher.verdicts([(crystals[a], crystals[b]) for a, b in part], options, stop=stop)
        for (a, b), verdict in zip(part, verdicts, strict=True):
            if verdict is Verdict.SAME:
                joined.join(a, b)
                same.append((a, b))
            elif verdict is not Verdict.DIFFERENT:
                open_questions.append((a, b, verdict))
    undecided: dict[int, Outcome] = {}
    for a, b, verdict in open_questions:
        if joined.root(a) != joined.root(b):
            undecided |= {a: _undecided(b, verdict), b: _undecided(a, verdict)}
    return same, undecided


def matched_known(
    crystals: Mapping[int, Crystal],
    formulas: Mapping[int, str],
    amd: Mapping[int, np.ndarray],
    known: Sequence[KnownCrystals],
    matcher: PairMatcher,
    options: MatcherOptions,
    stop: Callable[[], bool],
) -> tuple[dict[int, str], dict[int, Outcome]]:
    """Known crystals that StructureMatcher calls the same, and structures about which it cannot decide.

    Known crystals of the same formula are compared in the order of their AMD distance, until one is the same.

    Returns
    -------
    matched
        Id of a known crystal that is the same.
    undecided
        TIMEOUT or CALCULATOR_FAILED for each structure without a match of which a pair has no verdict.
    """
    waiting = {index: _candidates(known, formulas[index], amd[index]) for index in crystals}
    matched: dict[int, str] = {}
    undecided: dict[int, Outcome] = {}
    while waiting := {index: rest for index, rest in waiting.items() if rest and index not in matched}:
        # One pair of each structure at a time: a match makes its other pairs needless.
        part = list(waiting)[:_PAIRS_AT_ONCE]
        drawn = [(index, *waiting[index].popleft()) for index in part]
        pairs = [(crystals[index], crystal()) for index, _, crystal in drawn]
        for (index, name, _), verdict in zip(drawn, matcher.verdicts(pairs, options, stop=stop), strict=True):
            if verdict is Verdict.SAME:
                matched[index] = name
            elif verdict is not Verdict.DIFFERENT:
                undecided[index] = _undecided(name, verdict)
    return matched, {index: why for index, why in undecided.items() if index not in matched}


def _candidates(
    known: Sequence[KnownCrystals], formula: str, amd: np.ndarray
) -> deque[tuple[str, Callable[[], Crystal]]]:
    """Known crystals of a formula, the most alike first."""
    found: list[tuple[float, str, Callable[[], Crystal]]] = []
    for crystals in known:
        rows = crystals.index.rows(formula)
        if rows.crystal is None:
            continue
        distances = chebyshev(amd, rows.amd)
        found.extend(
            (float(distance), name, partial(rows.crystal, row))
            for row, (name, distance) in enumerate(zip(rows.ids, distances, strict=True))
        )
    found.sort(key=lambda candidate: candidate[:2])
    return deque((name, crystal) for _, name, crystal in found)


def _undecided(other: int | str, verdict: Verdict) -> Outcome:
    """Why a pair has no verdict; the other is a structure of the batch, by its index, or a known crystal."""
    named = (other,) if isinstance(other, int) else ("the known ", other)
    if verdict is Verdict.TIMEOUT:
        message = StructureMessage("StructureMatcher did not finish in time against ", *named)
        return Outcome(status=Status.TIMEOUT, message=message)
    message = StructureMessage("StructureMatcher failed against ", *named)
    return Outcome(status=Status.CALCULATOR_FAILED, message=message)


def content_name(key: str, crystal: Crystal) -> tuple[str, str]:
    """What orders crystals by content alone: the canonical key, then the numbers as they came."""
    content = hashlib.sha256(
        crystal.lattice.tobytes() + crystal.numbers.tobytes() + crystal.frac_coords.tobytes()
    )
    return key, content.hexdigest()
