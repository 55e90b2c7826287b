"""Graded uniqueness and novelty, and the distance behind them.

M. Negishi, H. Park, K. O. Mastej and A. Walsh, arXiv 2510.12405, with the constants of their package
`xtalmet` 2.0:

    d(x, y) = 0.7763 n(ElMD(x, y)) + 0.2237 n(AMD(x, y)),   n(z) = z / (1 + z), between 0 and 1
    uniqueness(x_i) = sum_j d(x_i, x_j) / (n - 1)           over all n structures of the batch
    novelty(x_i)    = min_j d(x_i, y_j)                     over all known crystals, of any formula

ElMD is the element mover's distance of the compositions (`elmd`), AMD the Chebyshev distance of AMD vectors
with k = 100 in Angstrom. Both depend continuously on composition and coordinates, and on no order.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from oracle_svc.crystals.elmd import elmd

__all__ = [
    "COMPOSITION_WEIGHT",
    "STRUCTURE_WEIGHT",
    "composition_radius",
    "graded_distance",
    "graded_uniqueness",
]

COMPOSITION_WEIGHT = 0.7763468728635282
"""Share of the composition; the published coefficient."""
STRUCTURE_WEIGHT = 0.2236531271364718
"""Share of the structure; the published coefficient."""


def graded_distance(composition: NDArray[np.float64], structure: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distances (...) in [0, 1) from ElMD (...) and AMD distances (...) in Angstrom."""
    return np.asarray(COMPOSITION_WEIGHT * _normal(composition) + STRUCTURE_WEIGHT * _normal(structure))


def composition_radius(distance: float) -> float:
    """Smallest ElMD at which the composition alone makes up a distance; infinite if it never does."""
    share = distance / COMPOSITION_WEIGHT
    # Beyond the scale's own length nothing is left: the largest ElMD is 102 steps.
    return share / (1 - share) if share < 1 else 1e3


def graded_uniqueness(
    cumulative: Mapping[int, NDArray[np.float64]], amd: Mapping[int, NDArray[np.float64]], count: int
) -> dict[int, float]:
    """Mean distance of each structure to all of its batch; nothing for a batch of one.

    Parameters
    ----------
    cumulative
        (103,) cumulative fractions by index in the batch.
    amd
        (k,) AMD vectors of the same structures, Angstrom.
    count
        Structures of the batch, those that could not be measured included: as published, they add nothing to
        the sum and stay in the mean.
    """
    if count < 2 or not cumulative:
        return {}
    sums = np.array([cumulative[index] for index in cumulative])
    vectors = np.array([amd[index] for index in cumulative])
    return {
        index: float(np.sort(_apart(sums[row], vectors[row], sums, vectors)).sum()) / (count - 1)
        for row, index in enumerate(cumulative)
    }


def _apart(
    total: NDArray[np.float64],
    vector: NDArray[np.float64],
    sums: NDArray[np.float64],
    vectors: NDArray[np.float64],
) -> NDArray[np.float64]:
    return graded_distance(elmd(sums, total), np.abs(vectors - vector).max(axis=1))


def _normal(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(distance / (1 + np.asarray(distance)))
