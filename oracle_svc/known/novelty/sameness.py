"""Whether a crystal is known, and whether it is the only one of its kind in the batch.

Two crystals are *the same* if their reduced formulas are equal and the Chebyshev distance of their AMD
vectors is at most a tolerance (or if StructureMatcher says so). Sameness is not transitive; what follows
from it is made so:

- a crystal is *novel* if no known crystal is the same;
- crystals of a batch that are joined by a chain of sames form one *cluster*, and one member of each is
  *unique*: the
  one whose content comes first in a fixed order (see `uniqueness`). Which one that is does not depend on
  the order of the batch, nor on how the others are written down.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from oracle_svc.crystals.amd import amd_of, chebyshev
from oracle_svc.known.hull import composition_of
from oracle_svc.known.novelty.known_index import KnownIndex
from xenolith.crystal import Crystal

__all__ = ["Forest", "GivenCrystals", "KnownCrystals", "Nearest", "Uniqueness", "nearest_of", "uniqueness"]


@dataclass(frozen=True, kw_only=True)
class Nearest:
    """The known crystal of the same reduced formula that is most alike."""

    id: str
    distance: float
    """Chebyshev distance of AMD vectors, Angstrom."""


class KnownCrystals(Protocol):
    """Known crystals, found by reduced formula (as `Crystal.formula` writes it). A `Reference` is one."""

    @property
    def index(self) -> KnownIndex:
        """Finds them."""
        ...


class GivenCrystals:
    """Crystals that somebody gives as known.

    Parameters
    ----------
    ids
        (R,) names.
    crystals
        (R,) the crystals.
    amd
        (R, k) AMD vectors, Angstrom.
    """

    def __init__(self, *, ids: Sequence[str], crystals: Sequence[Crystal], amd: np.ndarray) -> None:
        if not len(ids) == len(crystals) == len(amd):
            raise ValueError(f"{len(ids)} ids, {len(crystals)} crystals and {len(amd)} vectors do not fit")
        formulas = np.array([crystal.formula for crystal in crystals], dtype=str)
        order = np.argsort(formulas, kind="stable")
        names, first = np.unique(formulas[order], return_index=True)
        compositions = [composition_of(crystals[order[row]].numbers) for row in first]
        parts = [pair for composition in compositions for pair in composition]
        self.index = KnownIndex(
            ids=[ids[row] for row in order],
            formulas=names,
            starts=np.append(first, len(order)),
            amd=amd[order],
            elements=np.array([z for z, _ in parts], dtype=np.int64),
            counts=np.array([count for _, count in parts], dtype=np.int64),
            offsets=np.cumsum([0, *map(len, compositions)]),
            crystal=lambda row: crystals[order[row]],
        )


def nearest_of(
    known: KnownIndex, formula: str, amd: np.ndarray, tolerance: float | None = None
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
    amd: Mapping[int, np.ndarray],
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


def _distances(vectors: Sequence[np.ndarray]) -> np.ndarray:
    """(n, n) Chebyshev distances, symmetric to the last bit."""
    stacked = np.asarray(vectors)
    return np.array([chebyshev(vector, stacked) for vector in stacked])
