"""Compares the crystals of a batch with what is known and with each other: novelty and uniqueness."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from itertools import combinations

import numpy as np

from oracle_svc.matcher import MatcherOptions, PairMatcher, Verdict
from oracle_svc.novelty import KnownCrystals, Nearest, groups_by_formula, nearest_of, uniqueness
from oracle_svc.results import Outcome, Score
from oracle_svc.status import Status
from xenolith.crystal import Crystal

__all__ = ["content_name", "fill_novelty", "fill_uniqueness", "matched_pairs"]


def fill_novelty(score: Score, amd: np.ndarray, known: list[KnownCrystals], tolerance: float) -> None:
    """Set `novel`, `nearest_reference` and `amd_distance` of one structure."""
    candidates = [nearest_of(crystals, score.formula, amd) for crystals in known]
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

    Returns
    -------
    same
        Pairs of indices.
    undecided
        TIMEOUT or CALCULATOR_FAILED for each structure of a pair without a verdict.
    """
    pairs = [pair for members in groups_by_formula(formulas) for pair in combinations(members, 2)]
    verdicts = matcher.verdicts([(crystals[a], crystals[b]) for a, b in pairs], options, stop=stop)
    undecided: dict[int, Outcome] = {}
    for (a, b), verdict in zip(pairs, verdicts, strict=True):
        if verdict in {Verdict.TIMEOUT, Verdict.FAILED}:
            status = Status.TIMEOUT if verdict is Verdict.TIMEOUT else Status.CALCULATOR_FAILED
            what = "did not finish in time" if verdict is Verdict.TIMEOUT else "failed"
            undecided[a] = Outcome(status=status, message=f"StructureMatcher {what} against structure {b}")
            undecided[b] = Outcome(status=status, message=f"StructureMatcher {what} against structure {a}")
    same = [pair for pair, verdict in zip(pairs, verdicts, strict=True) if verdict is Verdict.SAME]
    return same, undecided


def content_name(key: str, crystal: Crystal) -> tuple[str, str]:
    """What orders crystals by content alone: the canonical key, then the numbers as they came."""
    content = hashlib.sha256(
        crystal.lattice.tobytes() + crystal.numbers.tobytes() + crystal.frac_coords.tobytes()
    )
    return key, content.hexdigest()
