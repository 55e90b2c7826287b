"""Known crystals, found by formula, by composition, and by both composition and structure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from oracle_svc.cache.memory import Memory
from oracle_svc.crystals.compositions import Compositions
from oracle_svc.known.hull import composition_of
from oracle_svc.known.novelty.amd_store import AmdStore
from oracle_svc.known.novelty.continuous import composition_radius, graded_distance
from xenolith.crystal import Crystal

__all__ = ["GivenCrystals", "KnownCrystals", "KnownIndex", "KnownStructures"]

_ROWS_AT_ONCE = 4096
_COMPOSITIONS_KEPT = 16_384


@dataclass(frozen=True, kw_only=True)
class KnownStructures:
    """The known structures of one reduced formula."""

    ids: tuple[str, ...]
    """(M,)."""
    amd: NDArray[np.float64]
    """(M, k) float64, Angstrom."""
    error: float = 0.0
    """Largest error of an entry of `amd`, Angstrom."""
    crystal: Callable[[int], Crystal] | None = None
    """Gives the structure of a row; None where structures are not kept."""


class KnownIndex:
    """Known crystals, sorted by reduced formula.

    Parameters
    ----------
    ids
        (M,) names.
    formulas
        (C,) distinct reduced formulas, ascending.
    starts
        (C + 1,) first row of each formula; the last entry is M.
    amd
        AMD vectors by row, exact (M, k) or packed.
    elements, counts
        Composition of each formula: (atomic number, how many), one after the other.
    offsets
        (C + 1,) where each composition begins in both.
    crystal
        Gives the structure of a row, where structures are kept.
    """

    def __init__(
        self,
        *,
        ids: Sequence[str],
        formulas: NDArray[np.str_],
        starts: NDArray[np.int64],
        amd: AmdStore | NDArray[np.float64],
        elements: NDArray[np.integer],
        counts: NDArray[np.number],
        offsets: NDArray[np.int64],
        crystal: Callable[[int], Crystal] | None = None,
    ) -> None:
        self._ids = ids
        self._names = formulas.astype("S") if len(formulas) else np.zeros(0, dtype="S1")
        self._starts = starts
        self._amd = amd
        self._parts = elements, counts, offsets
        self._crystal = crystal
        self._nearest: Memory[bytes, tuple[int, float]] = Memory(_COMPOSITIONS_KEPT)

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def has_structures(self) -> bool:
        """Whether the structures themselves are kept."""
        return self._crystal is not None

    @cached_property
    def compositions(self) -> Compositions:
        """The distinct compositions."""
        return Compositions(*self._parts)

    def rows(self, formula: str) -> KnownStructures:
        """Return the known structures with this reduced formula; none is an empty answer."""
        rows = self._rows_of(formula)
        crystal = self._crystal
        return KnownStructures(
            ids=tuple(self._ids[rows.start : rows.stop]),
            amd=self._vectors(rows),
            error=self._amd.error if isinstance(self._amd, AmdStore) else 0.0,
            crystal=None if crystal is None else lambda row: crystal(rows.start + row),
        )

    def composition_distance(self, target: NDArray[np.float64]) -> float | None:
        """Element mover's distance of cumulative fractions (103,) to the nearest known composition."""
        nearest = self._nearest_composition(target)
        return None if nearest is None else nearest[1]

    def _nearest_composition(self, target: NDArray[np.float64]) -> tuple[int, float] | None:
        name = target.tobytes()
        found = self._nearest.get(name)
        if found is None and (found := self.compositions.nearest(target)) is not None:
            self._nearest.put(name, found)
        return found

    def graded_distance(self, target: NDArray[np.float64], amd: NDArray[np.float64]) -> float | None:
        """Distance of `continuous` to the nearest known crystal of any formula; None if there are none.

        Parameters
        ----------
        target
            (103,) cumulative fractions.
        amd
            (k,) AMD vector, Angstrom.
        """
        first = self._nearest_composition(target)
        if first is None:
            return None
        best = self._best(np.array([first[0]]), np.array([first[1]]), amd)
        for compositions, distances, bound in self.compositions.within(target, composition_radius(best)):
            near = distances < composition_radius(best)
            if near.any():
                best = min(best, self._best(compositions[near], distances[near], amd))
            if bound >= composition_radius(best):
                break
        return best

    def _best(
        self, compositions: NDArray[np.int64], distances: NDArray[np.float64], amd: NDArray[np.float64]
    ) -> float:
        """Smallest distance to a crystal of these compositions, whose own distances (n,) are known."""
        begins = self._starts[compositions]
        counts = self._starts[compositions + 1] - begins
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        rows, apart = np.repeat(begins, counts) + within, np.repeat(distances, counts)
        best = np.inf
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            part = slice(start, start + _ROWS_AT_ONCE)
            best = min(best, float(graded_distance(apart[part], self._apart(amd, rows[part])).min()))
        return best

    def _apart(self, amd: NDArray[np.float64], rows: NDArray[np.int64]) -> NDArray[np.float64]:
        if isinstance(self._amd, AmdStore):
            return self._amd.distances(amd, rows)
        return np.asarray(np.abs(self._amd[rows] - amd).max(axis=1))

    def _vectors(self, rows: slice) -> NDArray[np.float64]:
        return self._amd.vectors(rows) if isinstance(self._amd, AmdStore) else self._amd[rows]

    def _rows_of(self, formula: str) -> slice:
        name = formula.encode()
        place = int(np.searchsorted(self._names, name))
        if place == len(self._names) or self._names[place] != name:
            return slice(0, 0)
        return slice(int(self._starts[place]), int(self._starts[place + 1]))


class KnownCrystals(Protocol):
    """Known crystals, found by reduced formula (as `Crystal.formula` writes it). A `Reference` is one."""

    @property
    def index(self) -> KnownIndex:
        """Finds them."""
        ...


class GivenCrystals:
    """Crystals that a caller gives as known.

    Parameters
    ----------
    ids
        (R,) names.
    crystals
        (R,) the crystals.
    amd
        (R, k) AMD vectors, Angstrom.
    """

    def __init__(self, *, ids: Sequence[str], crystals: Sequence[Crystal], amd: NDArray[np.float64]) -> None:
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
