"""One name for one crystal, however it is written down.

A crystal rotated, reflected, translated, relabelled or written in another cell has the same energy and the
same neighbours, so it shares one cache entry. No rounding can decide that alone: whatever is rounded, some
crystal sits on the edge. Hence two steps.

1. *Address*: a few smooth invariants of the crystal (they change as little as it does) are put on a coarse
   grid. A
   crystal near an edge of the grid is looked up on both sides, and stored on its own.
2. *Proof*: the entry carries the crystal it belongs to, and counts only if an isometry maps it onto the one
   asked for,
   every atom within `TOLERANCE`. Two crystals that merely share an address never share a value.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise, product

import numpy as np
from numpy.typing import NDArray

from oracle_svc.crystals.lattice import lattice_maps, primitive_cell
from oracle_svc.crystals.neighbors import find_neighbors
from oracle_svc.crystals.sites import Sites
from xenolith.crystal import Crystal

__all__ = ["TOLERANCE", "CanonicalForm", "canonical_form", "same_crystal"]

TOLERANCE = 2e-5
"""Largest displacement of an atom, Angstrom, between two descriptions of one crystal."""

_CUTOFF = 6.0
_CHANNELS = 3
_PROBES = (2, 16, None)
"""Atoms of each element that are tried, stage after stage."""
_GRID = 1e-2
_MARGIN = 1.5e-4
"""How far the invariants of one crystal may differ between two descriptions; several times `TOLERANCE`."""


@dataclass(frozen=True, kw_only=True)
class CanonicalForm:
    """A crystal's primitive cell on a reduced basis, and its addresses."""

    lattice: NDArray[np.float64]
    """(3, 3) row vectors, Angstrom."""
    numbers: NDArray[np.int64]
    """(n,) atomic numbers."""
    frac_coords: NDArray[np.float64]
    """(n, 3), in [0, 1)."""
    invariants: NDArray[np.float64]
    """(4,) smooth invariants: edge of the cube per atom (Angstrom) and three weighted pair sums."""

    @cached_property
    def addresses(self) -> tuple[str, ...]:
        """Digests to look under; the first is the one to store under."""
        species, counts = np.unique(self.numbers, return_counts=True)
        formula = ",".join(f"{z}:{n}" for z, n in zip(species.tolist(), counts.tolist(), strict=True))
        cells = [_cells_near(value) for value in (self.invariants / _GRID).tolist()]
        return tuple(_digest(formula, corner) for corner in product(*cells))

    @cached_property
    def content(self) -> bytes:
        """The exact numbers, to tell equal forms at a glance."""
        fields = (self.lattice, self.numbers, self.frac_coords, self.invariants)
        return b"".join(field.tobytes() for field in fields)

    @property
    def key(self) -> str:
        """The first address: a name to sort by, equal for nearly all descriptions of one crystal."""
        return self.addresses[0]

    @cached_property
    def crystal(self) -> Crystal:
        """The primitive cell as a crystal: the smallest, least skewed and cheapest description."""
        return Crystal(
            lattice=self.lattice, numbers=self.numbers.astype(np.int32), frac_coords=self.frac_coords
        )


def canonical_form(crystal: Crystal) -> CanonicalForm:
    """Canonical form of a crystal whose numbers are finite and whose cell is not singular.

    Parameters
    ----------
    crystal
        Any description of it. A supercell is recognised if its copies agree within `TOLERANCE`.

    Raises
    ------
    SearchTooLargeError
        The cell is too crowded for its neighbours to be counted with bounded work.
    """
    numbers = np.asarray(crystal.numbers, dtype=np.int64)
    lattice, numbers, frac = primitive_cell(
        np.asarray(crystal.lattice, dtype=np.float64),
        numbers,
        np.asarray(crystal.frac_coords, dtype=np.float64),
        tolerance=TOLERANCE,
    )
    return CanonicalForm(
        lattice=lattice, numbers=numbers, frac_coords=frac, invariants=_invariants(lattice, numbers, frac)
    )


def same_crystal(a: CanonicalForm, b: CanonicalForm) -> bool:
    """Whether an isometry, improper ones included, maps one crystal onto the other within `TOLERANCE`.

    Complete: for every map of a's lattice onto b's, and every atom of b that a's first rarest atom may land
    on, all other atoms are checked.
    """
    if len(a.numbers) != len(b.numbers) or not np.array_equal(np.sort(a.numbers), np.sort(b.numbers)):
        return False
    if float(np.abs(a.invariants - b.invariants).max()) > _MARGIN:
        return False
    if all(
        np.array_equal(getattr(a, name), getattr(b, name)) for name in ("lattice", "numbers", "frac_coords")
    ):
        return True
    order_a, order_b = np.argsort(a.numbers, kind="stable"), np.argsort(b.numbers, kind="stable")
    frac_a, frac_b = a.frac_coords[order_a], b.frac_coords[order_b]
    _, counts = np.unique(a.numbers, return_counts=True)
    starts = np.concatenate([[0], np.cumsum(counts)])
    blocks = [slice(int(i), int(j)) for i, j in pairwise(starts)]
    blocks.sort(key=lambda block: block.stop - block.start)
    # A cell vector is the sum of few bonds, so the cells may differ by somewhat more than the atoms.
    maps = lattice_maps(a.lattice, b.lattice, tolerance=5.0 * TOLERANCE)
    return len(maps) > 0 and _atoms_agree(frac_a, frac_b, maps, b.lattice, blocks)


def _atoms_agree(
    frac_a: NDArray[np.float64],
    frac_b: NDArray[np.float64],
    maps: NDArray[np.float64],
    lattice_b: NDArray[np.float64],
    blocks: list[slice],
) -> bool:
    """Whether some map of the lattices and some translation take the atoms of a onto those of b.

    Every map is tried with every landing of the first rarest atom of a. Element by element, rarest first,
    those are kept that take all atoms of the element onto atoms of the same element; a few atoms of each are
    tried before all are, since nearly every candidate fails at once.
    """
    for change in maps:
        described = frac_b @ np.linalg.inv(change)  # b in a basis like that of a
        lattice = change @ lattice_b
        sites = {block.start: Sites(lattice, described[block]) for block in blocks}
        shifts = described[blocks[0]] - frac_a[blocks[0].start]
        for probes in _PROBES:
            for block in blocks:
                moved = frac_a[block][:probes] + shifts[:, None]
                shifts = shifts[sites[block.start].under(moved, 2.0 * TOLERANCE)]
        if len(shifts):
            return True
    return False


def _invariants(
    lattice: NDArray[np.float64], numbers: NDArray[np.int64], frac: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(1 + channels,) invariants: size per atom, and weighted pair sums that fade out at the cutoff."""
    atoms = len(numbers)
    size = float(abs(np.linalg.det(lattice)) / atoms) ** (1.0 / 3.0)
    found = find_neighbors(lattice, frac, _CUTOFF)
    first, second, distance = found.center, found.neighbor, found.distance
    fade = (1.0 - (distance / _CUTOFF) ** 2) ** 3
    sums = [size]
    for channel in range(1, _CHANNELS + 1):
        # Element weights in [0.5, 1.5] from multiples of the golden ratio: fixed, and unequal for unequal
        # elements.
        weight = 0.5 + np.modf(numbers * channel * 0.6180339887498949)[0]
        wave = fade * np.cos(np.pi * channel * distance / _CUTOFF)
        sums.append(float((weight[first] * weight[second] * wave).sum()) / atoms)
    return np.array(sums)


def _cells_near(scaled: float) -> list[int]:
    """Grid cell of a scaled invariant, and the neighbour it may have fallen into."""
    cell = int(np.floor(scaled))
    inside = scaled - cell
    margin = _MARGIN / _GRID
    if inside < margin:
        return [cell, cell - 1]
    if inside > 1.0 - margin:
        return [cell, cell + 1]
    return [cell]


def _digest(formula: str, corner: tuple[int, ...]) -> str:
    return hashlib.blake2b(f"{formula}|{corner}".encode(), digest_size=16).hexdigest()
