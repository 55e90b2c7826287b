"""Whether a crystal is known, and whether it is the only one of its kind in the batch.

Two crystals are *the same* if their reduced formulas are equal and the Chebyshev distance of their AMD
vectors is at most a tolerance (or if StructureMatcher says so). Sameness is not transitive; what follows
from it is made so:

- a crystal is *novel* if no known crystal is the same;
- crystals of a batch that are joined by a chain of sames form one *cluster*, and one member of each is
  *unique*: the one whose content comes first in a fixed order (see `uniqueness`). Which one that is does not
  depend on the order of the batch, nor on how the others are written down.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from oracle_svc.crystals.amd import amd_of, chebyshev
from oracle_svc.known.novelty.known_index import KnownCrystals, KnownIndex
from oracle_svc.known.novelty.matcher import Verdict
from oracle_svc.status import Outcome, Status
from xenolith.contract.structure_messages import StructureMessage
from xenolith.crystal import Crystal

__all__ = [
    "Forest",
    "Nearest",
    "PairJudge",
    "Uniqueness",
    "groups_by_formula",
    "matched_known",
    "matched_pairs",
    "nearest_of",
    "uniqueness",
]

PairJudge = Callable[[Sequence[tuple[Crystal, Crystal]]], Sequence[Verdict]]
"""Says of pairs of crystals whether they are the same, such as StructureMatcher with some tolerances."""

_PAIRS_AT_ONCE = 16


@dataclass(frozen=True, kw_only=True)
class Nearest:
    """The known crystal of the same reduced formula that is most alike."""

    id: str
    distance: float
    """Chebyshev distance of AMD vectors, Angstrom."""


def nearest_of(
    known: KnownIndex, formula: str, amd: NDArray[np.float64], tolerance: float | None = None
) -> Nearest | None:
    """Most alike known crystal of this formula, the first of equals; None if the formula is not known.

    Stored vectors are rounded. Where that could decide on which side of `tolerance` a distance lies, it is
    computed anew from the structure, if structures are kept.
    """
    rows = known.rows(formula)
    if not rows.ids:
        return None
    distances = chebyshev(amd, rows.amd)
    if tolerance is not None and rows.crystal is not None:
        for row in np.flatnonzero(np.abs(distances - tolerance) <= rows.error).tolist():
            crystal = rows.crystal(row)
            exact = amd_of(crystal.lattice, crystal.frac_coords, len(amd))
            distances[row] = chebyshev(amd, exact[None])[0]
    best = int(distances.argmin())
    return Nearest(id=rows.ids[best], distance=float(distances[best]))


@dataclass(frozen=True, kw_only=True)
class Uniqueness:
    """Uniqueness of one structure in its batch."""

    unique: bool
    duplicate_of: int | None = None
    """Index of the unique member of its cluster; None if it is that member."""
    nearest_distance: float | None = None
    """Smallest AMD distance to another structure of the same formula, Angstrom; None if there is none."""


@dataclass(kw_only=True)
class Forest:
    """Clusters that grow by joining pairs (union-find)."""

    parents: dict[int, int] = field(default_factory=dict)
    """Next member on the way to the root."""

    def root(self, member: int) -> int:
        """Name of the member's cluster."""
        root = member
        while (parent := self.parents.get(root, root)) != root:
            root = parent
        self.parents[member] = root
        return root

    def join(self, a: int, b: int) -> None:
        """Make one cluster of two."""
        self.parents[self.root(a)] = self.root(b)


def uniqueness(
    formulas: Mapping[int, str],
    amd: Mapping[int, NDArray[np.float64]],
    names: Mapping[int, tuple[str, str]],
    tolerance: float,
    *,
    same: Sequence[tuple[int, int]] | None = None,
) -> dict[int, Uniqueness]:
    """Uniqueness of every structure.

    Parameters
    ----------
    formulas
        Reduced formula by index in the batch; structures that are not in it do not take part.
    amd
        AMD vector (k,), Angstrom, by index.
    names
        What orders the members of a cluster: (canonical key, digest of the numbers as they came). The least
        is the unique one. Equal names mean equal bytes, for which the earlier index goes first: nothing
        else tells them apart.
    tolerance
        Largest AMD distance of the same crystal, Angstrom.
    same
        Pairs that are the same by another judge, which then replaces AMD.
    """
    results: dict[int, Uniqueness] = {}
    joined = Forest()
    for a, b in same or ():
        joined.join(a, b)
    for members in groups_by_formula(formulas):
        if len(members) == 1:
            results[members[0]] = Uniqueness(unique=True)
            continue
        distances = _distances([amd[index] for index in members])
        if same is None:
            for i, j in np.argwhere(np.triu(distances <= tolerance, 1)).tolist():
                joined.join(members[i], members[j])
        for cluster in _clusters(members, joined):
            first = min(cluster, key=lambda index: (names[index], index))
            for index in cluster:
                row = members.index(index)
                others = np.delete(distances[row], row)
                results[index] = Uniqueness(
                    unique=index == first,
                    duplicate_of=None if index == first else first,
                    nearest_distance=float(others.min()) if len(others) else None,
                )
    return results


def groups_by_formula(formulas: Mapping[int, str]) -> Iterator[list[int]]:
    """Indices that share a formula, group by group."""
    groups: dict[str, list[int]] = {}
    for index, formula in formulas.items():
        groups.setdefault(formula, []).append(index)
    yield from groups.values()


def _clusters(members: Sequence[int], joined: Forest) -> Iterator[list[int]]:
    """Members that are joined by a chain."""
    found: dict[int, list[int]] = {}
    for member in members:
        found.setdefault(joined.root(member), []).append(member)
    yield from found.values()


def _distances(vectors: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """(n, n) Chebyshev distances, symmetric to the last bit."""
    stacked = np.asarray(vectors)
    return np.array([chebyshev(vector, stacked) for vector in stacked])


def matched_pairs(
    crystals: Mapping[int, Crystal],
    formulas: Mapping[int, str],
    judge: PairJudge,
) -> tuple[list[tuple[int, int]], dict[int, Outcome]]:
    """Pairs that StructureMatcher calls the same, and the structures about which it could not decide.

    A pair that a chain of sames has joined already is not compared: it changes nothing.

    Parameters
    ----------
    crystals, formulas
        Crystals and their reduced formulas, by index in the batch.
    judge
        StructureMatcher.

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
        verdicts = judge([(crystals[a], crystals[b]) for a, b in part])
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
    amd: Mapping[int, NDArray[np.float64]],
    known: Sequence[KnownCrystals],
    judge: PairJudge,
) -> tuple[dict[int, str], dict[int, Outcome]]:
    """Known crystals that StructureMatcher calls the same, and structures about which it cannot decide.

    Known crystals of the same formula are compared in the order of their AMD distance, until one is the same.

    Parameters
    ----------
    crystals, formulas, amd
        Crystals, their reduced formulas and AMD vectors, by index in the batch.
    known
        Crystals to compare with.
    judge
        StructureMatcher.

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
        for (index, name, _), verdict in zip(drawn, judge(pairs), strict=True):
            if verdict is Verdict.SAME:
                matched[index] = name
            elif verdict is not Verdict.DIFFERENT:
                undecided[index] = _undecided(name, verdict)
    return matched, {index: why for index, why in undecided.items() if index not in matched}


def _candidates(
    known: Sequence[KnownCrystals], formula: str, amd: NDArray[np.float64]
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
