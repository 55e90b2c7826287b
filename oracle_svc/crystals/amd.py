"""Average minimum distances (AMD): a crystal as numbers that ignore cell, origin and orientation.

AMD_k is the distance from an atom to its k-th nearest neighbour, averaged over the atoms of the
cell (Widdowson et al., MATCH 87, 529 (2022)). Elements are not seen. The numbers agree with
the `average-minimum-distance` package.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from oracle_svc.crystals.neighbors import MAX_PAIRS, SearchTooLargeError, find_neighbors
from oracle_svc.status import Status

if TYPE_CHECKING:
    from xenolith.crystal import CrystalBatch

__all__ = ["DEFAULT_K", "DEFAULT_TOLERANCE", "AmdBatch", "amd_of", "amd_vectors", "chebyshev"]

DEFAULT_K = 100
"""Neighbours of each atom."""

DEFAULT_TOLERANCE = 0.3
"""AMD distance (largest difference, k = 100) below which crystals of one formula are the same, Angstrom.

Calibrated on MP-20 against StructureMatcher (0.2 / 0.3 / 5) with `benchmarks/amd_tolerance.py`. Of
3973 copies with noise up to 0.15 A and strain up to 5 %, which it calls equal, 11.6 % lie further
apart and would count as novel; of 287 equal polymorphs 11.8 %. Of 3713 different polymorphs 50 %
lie nearer and count as known; orderings of other elements on the same sites are among them, which
AMD cannot see. Errors balance near 0.2; the value leans towards calling near copies known. Scaling to
equal volume first, as StructureMatcher does, gives the same trade-off, so it is not done.
"""

# The first search radius holds this many times k neighbours at the mean density, which nearly
# always suffices; where it does not, the radius grows by a quarter.
_MARGIN = 1.35
_GROWTH = 1.25
_MAX_GROWTHS = 40


@dataclass(frozen=True, kw_only=True)
class AmdBatch:
    """AMD vectors of a batch."""

    vectors: NDArray[np.float64]
    """(B, k) float64, Angstrom; NaN where the status is not OK."""
    statuses: tuple[Status, ...]
    messages: tuple[str, ...]


def amd_vectors(
    batch: CrystalBatch,
    k: int = DEFAULT_K,
    vector: Callable[[NDArray[np.float64], NDArray[np.float64], int], NDArray[np.float64]] | None = None,
) -> AmdBatch:
    """Return the AMD vector of every structure; a bad one gets its own status.

    Parameters
    ----------
    batch
        Structures; only cells and coordinates are read.
    k
        Neighbours of each atom, >= 1.
    vector
        What computes one vector; default `amd_of`.
    """
    compute = vector or amd_of
    vectors = np.full((len(batch), k), np.nan)
    statuses, messages = [], []
    ends = np.cumsum(batch.num_atoms)
    for index, (count, end) in enumerate(zip(batch.num_atoms, ends, strict=True)):
        coords = batch.frac_coords[end - count : end]
        status, message = _problem(batch.lattices[index], coords)
        if status is Status.OK:
            try:
                vectors[index] = compute(batch.lattices[index], coords, k)
            except SearchTooLargeError as error:
                status, message = Status.BAD_CELL, str(error)
        statuses.append(status)
        messages.append(message)
    return AmdBatch(vectors=vectors, statuses=tuple(statuses), messages=tuple(messages))


def amd_of(
    lattice: NDArray[np.float64], frac_coords: NDArray[np.float64], k: int = DEFAULT_K
) -> NDArray[np.float64]:
    """Return the AMD vector (k,) in Angstrom of one crystal.

    Raises
    ------
    SearchTooLargeError
        If the cell is so thin or so crowded that the neighbours cannot be found with bounded work.
    """
    count = len(frac_coords)
    volume = abs(float(np.linalg.det(lattice)))
    radius = (_MARGIN * k * volume / count * 3 / (4 * np.pi)) ** (1 / 3)
    for _ in range(_MAX_GROWTHS):
        found = find_neighbors(lattice, frac_coords, radius)
        have = np.bincount(found.center, minlength=count)
        if have.min() >= k:
            return _average(found.center, found.distance, have, k)
        radius *= _GROWTH
    raise SearchTooLargeError(f"no sphere with {k} neighbours around every atom was found")


def chebyshev(vector: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the largest differences (M,) in Angstrom between a vector (k,) and others (M, k)."""
    return np.abs(np.asarray(others, dtype=np.float64) - vector).max(axis=1, initial=0.0)


def _average(
    center: NDArray[np.int64], distance: NDArray[np.float64], have: NDArray[np.int64], k: int
) -> NDArray[np.float64]:
    """Average the k smallest distances of every centre."""
    order = np.lexsort((distance, center))
    first = np.cumsum(have) - have
    nearest = distance[order[first[:, None] + np.arange(k)]]
    return nearest.mean(axis=0)


def _problem(lattice: NDArray[np.float64], coords: NDArray[np.float64]) -> tuple[Status, str]:
    if len(coords) == 0:
        return Status.MALFORMED, "it has no atoms"
    if not (np.isfinite(lattice).all() and np.isfinite(coords).all()):
        return Status.NONFINITE, "its cell or coordinates hold NaN or infinity"
    if len(coords) ** 2 > MAX_PAIRS:
        return Status.TOO_LARGE, f"{len(coords)} atoms are too many for AMD"
    with np.errstate(over="ignore", invalid="ignore"):
        volume = abs(float(np.linalg.det(lattice)))
    if not (np.isfinite(volume) and volume > 0):
        return Status.BAD_CELL, f"its cell has a volume of {volume:.3g} A^3"
    return Status.OK, ""
