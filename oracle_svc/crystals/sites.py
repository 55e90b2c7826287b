"""Sites of a cell, and whether points lie on them: in time proportional to the points, not to their pairs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

__all__ = ["Sites", "wrapped"]


_FEW = 24
"""Sites up to this many are compared with every point: a tree would take longer to build."""


class Sites:
    """Sites of a periodic cell, no two of them anywhere near each other.

    Parameters
    ----------
    lattice, frac_coords
        (3, 3) row vectors of a reduced cell, Angstrom, and (N, 3).
    """

    def __init__(self, lattice: NDArray[np.float64], frac_coords: NDArray[np.float64]) -> None:
        self._lattice = lattice
        self._frac = wrapped(frac_coords)
        self._tree = cKDTree(self._frac, boxsize=1.0) if len(frac_coords) > _FEW else None

    def nearest(self, points: NDArray[np.float64]) -> NDArray[np.int64]:
        """(...) index of the site nearest to each of the (..., 3) points, as fractions of the cell go."""
        if self._tree is not None:
            return np.asarray(self._tree.query(wrapped(points))[1], dtype=np.int64)
        gaps = points[..., None, :] - self._frac
        gaps -= np.round(gaps)
        return np.asarray(np.einsum("...c,...c->...", gaps, gaps).argmin(axis=-1))

    def under(self, points: NDArray[np.float64], tolerance: float) -> NDArray[np.bool_]:
        """(...) whether all of (..., M, 3) points lie on sites, within a tolerance in Angstrom.

        A tolerance far below the distance of any two sites makes the nearest site in fractions of the cell
        the nearest in space, if there is one within it.
        """
        gaps = points - self._frac[self.nearest(points)]
        steps = (gaps - np.round(gaps)) @ self._lattice
        squared = np.einsum("...c,...c->...", steps, steps)
        return np.asarray((squared <= tolerance**2).all(axis=-1))


def wrapped(frac_coords: NDArray[np.float64]) -> NDArray[np.float64]:
    """Fractional coordinates in [0, 1)."""
    inside = frac_coords - np.floor(frac_coords)
    return np.where(inside >= 1.0, 0.0, inside)
