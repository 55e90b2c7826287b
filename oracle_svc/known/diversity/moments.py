"""Moments of many vectors, from which the mean of a cubic kernel over all of them follows.

    mean_r ((x.r + 1) / 2)^3 = (1 + 3 x.m1 + 3 m2(x, x) + m3(x, x, x)) / 8

with the first, second and third moments of the vectors r. The third is kept for pairs i <= j, so that it has
D^2 (D + 1) / 2 entries: 1 MB for 64 numbers, whether there are a thousand vectors or a million.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

__all__ = ["Moments", "moments_of"]

_ROWS_AT_ONCE = 2048
_SPARSE_BELOW = 0.25
"""Share of entries that are not zero below which sparse products are faster."""


@dataclass(frozen=True, kw_only=True)
class Moments:
    """Moments over the columns that are not zero throughout."""

    columns: NDArray[np.int64]
    """(C,) which columns."""
    first: NDArray[np.float64]
    """(C,)."""
    second: NDArray[np.float64]
    """(C, C)."""
    third: NDArray[np.float64]
    """(C (C + 1) / 2, C): pairs i <= j, those with i < j counted twice, by the third index."""

    def mean_cubic_kernel(self, vectors: NDArray[np.float32]) -> NDArray[np.float64]:
        """(B,) float64 mean of ((x.r + 1) / 2)^3 over the vectors r, for x (B, D)."""
        x = np.asarray(vectors, dtype=np.float64)[:, self.columns]
        i, j = np.triu_indices(len(self.columns))
        linear = x @ self.first
        quadratic = np.einsum("bi,bi->b", x @ self.second, x)
        cubic = np.einsum("bi,bi->b", (x[:, i] * x[:, j]) @ self.third, x)
        return np.asarray((1.0 + 3.0 * linear + 3.0 * quadratic + cubic) / 8.0)


def moments_of(rows: NDArray[np.float32]) -> Moments:
    """Return the moments of (R, D) vectors, R >= 1."""
    columns = np.flatnonzero(rows.any(axis=0))
    width = len(columns)
    few = np.count_nonzero(rows) < _SPARSE_BELOW * len(rows) * width
    i, j = np.triu_indices(width)
    second, third = np.zeros((width, width)), np.zeros((len(i), width))
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        block = rows[start : start + _ROWS_AT_ONCE, columns]
        second += block.T @ block
        third += _sparse_third(block) if few else (block[:, i] * block[:, j]).T @ block
    third *= np.where(i == j, 1.0, 2.0)[:, None]
    return Moments(
        columns=columns,
        first=rows[:, columns].mean(axis=0, dtype=np.float64),
        second=second / len(rows),
        third=third / len(rows),
    )


def _sparse_third(block: NDArray[np.float32]) -> NDArray[np.float32]:
    """Third moment (pairs, C) of rows of which most entries are zero."""
    count, width = block.shape
    row, column = np.nonzero(block)
    sizes = np.bincount(row, minlength=count)
    # Every ordered pair of entries of a row, the first not after the second.
    left = np.repeat(np.arange(len(row)), sizes[row])
    begins = np.cumsum(sizes) - sizes
    inside = np.arange(len(left)) - np.repeat(np.cumsum(sizes[row]) - sizes[row], sizes[row])
    right = begins[row[left]] + inside
    keep = left <= right
    left, right = left[keep], right[keep]
    low, high = column[left], column[right]
    pair = low * width - low * (low - 1) // 2 + high - low
    values = block[row[left], low] * block[row[right], high]
    shape = (count, width * (width + 1) // 2)
    pairs = sparse.csr_array((values, (row[left], pair)), shape=shape)
    return np.asarray((pairs.T @ sparse.csr_array(block)).todense())
