"""Rank correlations, without scipy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["kendall", "ranks", "spearman"]

_ROWS_AT_ONCE = 512


def ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N,) ranks from 1; equal values share their mean rank."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return np.asarray((ends - (counts - 1) / 2.0)[place], dtype=np.float64)


def spearman(x: NDArray[np.float64], y: NDArray[np.float64]) -> float | None:
    """Spearman's rank correlation; None where one side has a single value."""
    a, b = ranks(x), ranks(y)
    a, b = a - a.mean(), b - b.mean()
    size = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / size if size > 0 else None


def kendall(x: NDArray[np.float64], y: NDArray[np.float64]) -> float | None:
    """Kendall's tau-b; None where one side has a single value."""
    agree, tied_x, tied_y = 0.0, 0.0, 0.0
    for start in range(0, len(x), _ROWS_AT_ONCE):
        dx = np.sign(x[start : start + _ROWS_AT_ONCE, None] - x[None])
        dy = np.sign(y[start : start + _ROWS_AT_ONCE, None] - y[None])
        agree += float((dx * dy).sum())
        tied_x += float((dx == 0).sum())
        tied_y += float((dy == 0).sum())
    pairs = float(len(x)) ** 2
    size = float(np.sqrt((pairs - tied_x) * (pairs - tied_y)))
    return agree / size if size > 0 else None
