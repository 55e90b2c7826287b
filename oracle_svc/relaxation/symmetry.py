"""Keeping the space group of a structure while it relaxes."""

from __future__ import annotations

import numpy as np
import spglib
from numpy.typing import NDArray

from xenolith.crystal import Crystal

__all__ = ["SYMMETRY_PRECISION", "Symmetry"]

SYMMETRY_PRECISION = 1e-2
"""Largest distance of an atom from its symmetric place, Angstrom."""


class Symmetry:
    """The symmetry operations of one structure.

    Forces and stress averaged over the operations leave every operation valid.

    Parameters
    ----------
    crystal
        The structure before its relaxation.

    Raises
    ------
    ValueError
        If spglib finds no operations.
    """

    def __init__(self, crystal: Crystal) -> None:
        cell = (crystal.lattice.tolist(), crystal.frac_coords.tolist(), crystal.numbers.tolist())
        found = spglib.get_symmetry(cell, symprec=SYMMETRY_PRECISION)
        if found is None:
            raise ValueError("spglib finds no symmetry operations of it")
        lattice = np.asarray(crystal.lattice, dtype=np.float64)
        # Columns of fractional coordinates are multiplied from the left: x' = W x + w.
        inverse = np.linalg.inv(lattice)
        turns = np.array([inverse @ turn.T @ lattice for turn in found["rotations"]])
        # A cell that is symmetric within the precision alone has operations that are nearly rotations.
        left, _, right = np.linalg.svd(turns)
        self._turns = left @ right
        moved = np.einsum("oij,nj->oni", found["rotations"], crystal.frac_coords)
        moved += found["translations"][:, None]
        self._images = np.array([_landings(m, crystal) for m in moved])

    def forces(self, forces: NDArray[np.float64]) -> NDArray[np.float64]:
        """Average (N, 3) forces over the operations."""
        average = np.zeros_like(forces)
        for turn, image in zip(self._turns, self._images, strict=True):
            average[image] += forces @ turn
        return average / len(self._turns)

    def stress(self, stress: NDArray[np.float64]) -> NDArray[np.float64]:
        """Average a (3, 3) stress over the operations."""
        turned: NDArray[np.float64] = np.einsum("oki,kl,olj->oij", self._turns, stress, self._turns)
        return turned.mean(axis=0)


def _landings(moved: NDArray[np.float64], crystal: Crystal) -> NDArray[np.int64]:
    """(N,) the atom of the same element that lies nearest to each moved atom."""
    gaps = moved[:, None] - crystal.frac_coords[None]
    gaps = (gaps - np.round(gaps)) @ crystal.lattice
    squared = np.einsum("ijk,ijk->ij", gaps, gaps)
    squared[crystal.numbers[:, None] != crystal.numbers[None]] = np.inf
    nearest: NDArray[np.int64] = squared.argmin(axis=1)
    return nearest
