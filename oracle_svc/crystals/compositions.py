"""Many compositions, searched for those nearest by element mover's distance; exact at a million.

The distance is the L1 distance of cumulative sums. Summing both over blocks of the scale first can only make
it smaller, so the sums of a few blocks bound it from below: they rule out nearly all compositions, and the
sum over the whole scale, by which the compositions are sorted, nearly all of those before that.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from oracle_svc.crystals.elmd import SIZE, elmd, positions_of

__all__ = ["Compositions"]

_BLOCKS = 16
_STARTS = np.linspace(0, SIZE, _BLOCKS, endpoint=False).astype(np.int64)
_SLACK = 1e-3  # the bounds are kept in single precision, sums of up to 103
_FIRST = 32
_AT_ONCE = 64
"""Compositions of the first portion; later ones are longer."""


class Compositions:
    """Distinct compositions.

    Parameters
    ----------
    elements
        (E,) atomic numbers of all compositions, one after the other.
    amounts
        (E,) how many of each; any positive scale.
    offsets
        (C + 1,) where each composition begins in both.
    """

    def __init__(
        self, elements: NDArray[np.integer], amounts: NDArray[np.number], offsets: NDArray[np.int64]
    ) -> None:
        counts = np.diff(offsets)
        places = positions_of(elements)
        owner = np.repeat(np.arange(len(counts)), counts)
        known = np.ones(len(counts), dtype=bool)
        known[owner[places < 0]] = False
        totals = np.bincount(owner, weights=amounts, minlength=len(counts))
        fractions = amounts / totals[owner]
        # Every fraction counts once for each position from its own on.
        reach = np.bincount(owner, weights=fractions * (SIZE - places), minlength=len(counts))
        self._order = np.flatnonzero(known)[np.argsort(reach[known], kind="stable")]
        self._reach = reach[self._order]
        self._places, self._fractions = places.astype(np.int16), fractions
        self._first, self._counts = offsets[:-1].astype(np.int64), counts.astype(np.int64)
        self._bounds = self._blocks()

    def __len__(self) -> int:
        """Compositions that can be compared: those with a place on the scale."""
        return len(self._order)

    def nearest(self, target: NDArray[np.float64]) -> tuple[int, float] | None:
        """Index and distance of the composition nearest to a cumulative sum (103,); None if there is none."""
        likely = self._nearest_within(target, np.inf)
        if likely is None or likely[1] == 0.0:
            return likely
        return self._nearest_within(target, likely[1]) or likely

    def within(
        self, target: NDArray[np.float64], radius: float
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float64], float]]:
        """Yield portions of compositions: indices, distances, and what the portions after it cannot go below.

        All compositions nearer than `radius` are among them; an infinite radius takes the few
        dozen likeliest.
        """
        reach, blocks = float(target.sum()), np.add.reduceat(target, _STARTS)
        middle = int(np.searchsorted(self._reach, reach))
        if np.isinf(radius):
            low, high = max(0, middle - _FIRST), middle + _FIRST
        else:
            low = int(np.searchsorted(self._reach, reach - radius - _SLACK))
            high = int(np.searchsorted(self._reach, reach + radius + _SLACK, side="right"))
        bounds = np.abs(self._bounds[low:high] - blocks.astype(np.float32)).sum(axis=1)
        near = np.flatnonzero(bounds <= radius + _SLACK)
        near = near[np.argsort(bounds[near], kind="stable")]
        start, size = 0, _AT_ONCE
        while start < len(near):
            rows = self._order[low + near[start : start + size]]
            start, size = start + size, min(4096, 2 * size)
            beyond = float(bounds[near[start]]) - _SLACK if start < len(near) else np.inf
            yield rows, elmd(self._cumulative(rows), target), beyond

    def _nearest_within(self, target: NDArray[np.float64], radius: float) -> tuple[int, float] | None:
        best: tuple[int, float] | None = None
        for rows, distances, bound in self.within(target, radius):
            place = int(distances.argmin())
            if best is None or distances[place] < best[1]:
                best = int(rows[place]), float(distances[place])
            if bound >= best[1] or best[1] == 0.0:
                break
        return best

    def _cumulative(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """(n, 103) cumulative fractions."""
        counts = self._counts[rows]
        owner = np.repeat(np.arange(len(rows)), counts)
        within = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
        source = np.repeat(self._first[rows], counts) + within
        flat = np.bincount(
            owner * SIZE + self._places[source], weights=self._fractions[source], minlength=len(rows) * SIZE
        )
        return np.asarray(np.cumsum(flat.reshape(len(rows), SIZE), axis=1))

    def _blocks(self) -> NDArray[np.float32]:
        """(C, 16) sums of the cumulative fractions over blocks of the scale, in the order of `_order`."""
        blocks = np.empty((len(self._order), _BLOCKS), dtype=np.float32)
        for start in range(0, len(self._order), 8192):
            rows = self._order[start : start + 8192]
            blocks[start : start + 8192] = np.add.reduceat(self._cumulative(rows), _STARTS, axis=1)
        return blocks
