"""Periodic neighbour search with bounded work, whatever the cell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pymatgen.optimization.neighbors import find_points_in_spheres

__all__ = ["MAX_PAIRS", "Neighbors", "SearchTooLargeError", "find_neighbors", "reduce_cell"]

MAX_PAIRS = 2_000_000
"""Most pairs, atom images or search boxes of one structure; about 200 MB of work space."""

_PERIODIC = np.ones(3, dtype=np.int64)
_SAME_POINT = 1e-8
_REDUCE_ABOVE = 1000
_MAX_SWEEPS = 60


class SearchTooLargeError(ValueError):
    """The cell would need more work than `MAX_PAIRS` allows."""


@dataclass(frozen=True, kw_only=True)
class Neighbors:
    """All ordered pairs of atoms within a radius; an atom's images are its neighbours, it itself is not."""

    center: np.ndarray
    """(P,) int64."""
    neighbor: np.ndarray
    """(P,) int64."""
    image: np.ndarray
    """(P, 3) float64 whole cell vectors (of `lattice`) from the neighbour's cell to its image."""
    distance: np.ndarray
    """(P,) float64, Angstrom."""
    lattice: np.ndarray
    """(3, 3) the cell that was searched: the given one, or a shorter one of the same lattice."""
    positions: np.ndarray
    """(N, 3) Cartesian positions inside that cell, Angstrom."""


def find_neighbors(lattice: np.ndarray, frac_coords: np.ndarray, radius: float) -> Neighbors:
    """Find every pair within `radius` (Angstrom), periodic images included.

    Parameters
    ----------
    lattice, frac_coords
        (3, 3) row vectors in Angstrom and (N, 3), all finite; the cell has a volume.

    Raises
    ------
    SearchTooLargeError
        If the cell is so thin, or so crowded, that the search would not be bounded.
    """
    lattice = np.ascontiguousarray(lattice, dtype=np.float64)
    if _num_images(lattice, radius) > _REDUCE_ABOVE:
        shorter = reduce_cell(lattice)
        frac_coords = np.linalg.solve(shorter.T, (frac_coords @ lattice).T).T
        lattice = np.ascontiguousarray(shorter)
    frac_coords = frac_coords - np.floor(frac_coords)
    positions = np.ascontiguousarray(frac_coords @ lattice)
    _check_work(lattice, positions, radius)
    center, neighbor, image, distance = find_points_in_spheres(
        positions, positions, radius, _PERIODIC, lattice, _SAME_POINT
    )
    other = (center != neighbor) | image.any(axis=1)
    return Neighbors(
        center=center[other],
        neighbor=neighbor[other],
        image=image[other],
        distance=distance[other],
        lattice=lattice,
        positions=positions,
    )


def reduce_cell(lattice: np.ndarray) -> np.ndarray:
    """Return short vectors of the same lattice (each vector reduced by the others, bounded sweeps)."""
    cell = np.array(lattice, dtype=np.float64)
    for _ in range(_MAX_SWEEPS):
        cell = cell[np.argsort(np.einsum("ij,ij->i", cell, cell), kind="stable")]
        before = cell.copy()
        cell[1] -= np.round(cell[1] @ cell[0] / (cell[0] @ cell[0])) * cell[0]
        steps = np.linalg.lstsq(cell[:2].T, cell[2], rcond=None)[0]
        cell[2] -= np.round(steps) @ cell[:2]
        if np.array_equal(before, cell):
            break
    return cell


def _heights(lattice: np.ndarray) -> np.ndarray:
    """Distances between opposite faces of the cell, (3,)."""
    normals = np.cross(lattice[[1, 2, 0]], lattice[[2, 0, 1]])
    return np.abs(lattice[0] @ normals[0]) / np.linalg.norm(normals, axis=1)


def _num_images(lattice: np.ndarray, radius: float) -> float:
    return float(np.prod(2 * np.ceil((radius + 0.15) / _heights(lattice)) + 1))


def _check_work(lattice: np.ndarray, positions: np.ndarray, radius: float) -> None:
    """Bound what the search allocates: images, boxes of its grid, and pairs at the mean density."""
    count = len(positions)
    extent = np.ptp(positions, axis=0) + 2 * radius
    work = {
        "atom images": _num_images(lattice, radius) * count,
        "search boxes": 27 * float(np.prod(np.ceil(extent / max(radius, 0.1)) + 1)),
        "neighbour pairs": count * count * 4 / 3 * np.pi * radius**3 / abs(np.linalg.det(lattice)),
    }
    for what, number in work.items():
        if not number <= MAX_PAIRS:
            raise SearchTooLargeError(
                f"looking {radius:.3g} A around {count} atoms in this cell takes {number:.3g} {what}, "
                f"more than {MAX_PAIRS}"
            )
