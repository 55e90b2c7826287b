"""Periodic neighbour search with bounded work, whatever the cell."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pymatgen.optimization.neighbors import find_points_in_spheres

__all__ = ["MAX_PAIRS", "Neighbors", "SearchTooLargeError", "find_neighbors", "reduce_cell"]

MAX_PAIRS = 2_000_000
"""Most pairs, atom images or search boxes of one structure; about 200 MB of work space."""

_PERIODIC = np.ones(3, dtype=np.int64)
_SAME_POINT = 1e-8
_REDUCE_ABOVE = 1000
_MAX_SWEEPS = 60
_MOST_IMAGES = 1e6


class SearchTooLargeError(ValueError):
    """The cell would need more work than `MAX_PAIRS` allows."""


@dataclass(frozen=True, kw_only=True)
class Neighbors:
    """All ordered pairs of atoms within a radius; an atom's images are its neighbours, it itself is not."""

    center: NDArray[np.int64]
    """(P,) int64."""
    neighbor: NDArray[np.int64]
    """(P,) int64."""
    image: NDArray[np.float64]
    """(P, 3) float64 whole cell vectors (of `lattice`) from the neighbour's cell to its image."""
    distance: NDArray[np.float64]
    """(P,) float64, Angstrom."""
    lattice: NDArray[np.float64]
    """(3, 3) the cell that was searched: the given one, or a shorter one of the same lattice."""
    positions: NDArray[np.float64]
    """(N, 3) Cartesian positions inside that cell, Angstrom."""


def find_neighbors(
    lattice: NDArray[np.float64], frac_coords: NDArray[np.float64], radius: float
) -> Neighbors:
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
    volume, images = _num_images(lattice, radius)
    if images > _REDUCE_ABOVE:
        shorter = reduce_cell(lattice)
        solved = np.linalg.solve(shorter.T, (frac_coords @ lattice).T).T
        frac_coords = np.asarray(solved, dtype=np.float64)
        lattice = np.ascontiguousarray(shorter)
        volume, images = _num_images(lattice, radius)
    frac_coords = frac_coords - np.floor(frac_coords)
    positions = np.ascontiguousarray(frac_coords @ lattice)
    _check_work(volume, images, positions, radius)
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


def reduce_cell(lattice: NDArray[np.float64]) -> NDArray[np.float64]:
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


def _num_images(lattice: NDArray[np.float64], radius: float) -> tuple[float, float]:
    """Volume of the cell, and how many of its images a sphere around it may touch.

    In plain numbers: this is called for every crystal, and numpy takes ten times as long for three vectors.
    """
    a, b, c = lattice.tolist()
    images, volume = 1.0, 0.0
    for first, second, other in ((a, b, c), (b, c, a), (c, a, b)):
        x = first[1] * second[2] - first[2] * second[1]
        y = first[2] * second[0] - first[0] * second[2]
        z = first[0] * second[1] - first[1] * second[0]
        volume = abs(x * other[0] + y * other[1] + z * other[2])
        area = math.sqrt(x * x + y * y + z * z)
        # The faces that these vectors span are volume / area apart.
        if not (0.0 < volume < math.inf and area * radius < volume * _MOST_IMAGES):
            return volume, math.inf
        images *= 2 * math.ceil((radius + 0.15) * area / volume) + 1
    return volume, images


def _check_work(volume: float, images: float, positions: NDArray[np.float64], radius: float) -> None:
    """Bound what the search allocates: images, boxes of its grid, and pairs at the mean density."""
    count = len(positions)
    boxes = 27.0
    for extent in (positions.max(axis=0) - positions.min(axis=0)).tolist():
        boxes *= (extent + 2 * radius) / max(radius, 0.1) + 2
    work = {
        "atom images": images * count,
        "search boxes": boxes,
        "neighbour pairs": count * count * 4 / 3 * math.pi * radius**3 / volume if volume else math.inf,
    }
    for what, number in work.items():
        if not number <= MAX_PAIRS:
            raise SearchTooLargeError(
                f"looking {radius:.3g} A around {count} atoms in this cell takes {number:.3g} {what}, "
                f"more than {MAX_PAIRS}"
            )
