"""Coordinates in which cell and atoms relax together.

The cell is the first one deformed by exp(U), U symmetric: every shape can be reached, none is singular, and
the crystal does not turn. The coordinates are the atoms' positions with the deformation taken away, and U
times the number of atoms, which makes both equally stiff. This is ASE's `FrechetCellFilter` with U held
symmetric.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import expm

from xenolith.crystal import Crystal

__all__ = ["Coordinates"]


class Coordinates:
    """Positions of atoms and, if it relaxes, the cell.

    Parameters
    ----------
    crystal
        Where the relaxation begins.
    relax_cell
        Whether the cell relaxes.
    """

    def __init__(self, crystal: Crystal, *, relax_cell: bool) -> None:
        self._lattice = np.array(crystal.lattice, dtype=np.float64)
        self._numbers = crystal.numbers
        self._first = crystal.frac_coords @ self._lattice
        self._positions = self._first.copy()
        self._strain = np.zeros((3, 3))
        self._deformation = np.eye(3)
        self._relax_cell = relax_cell

    @property
    def size(self) -> int:
        """Number of coordinates."""
        return self._positions.size + 9 * self._relax_cell

    @property
    def crystal(self) -> Crystal:
        """Where the relaxation stands; atoms are not wrapped into the cell."""
        frac = self._positions @ np.linalg.inv(self._lattice)
        return Crystal(
            lattice=self._lattice @ self._deformation,
            numbers=self._numbers,
            frac_coords=frac.astype(np.float64),
        )

    @property
    def volume_ratio(self) -> float:
        """Volume over the first volume."""
        return float(np.linalg.det(self._deformation))

    @property
    def rmsd(self) -> float:
        """Root mean square displacement of the atoms beside what the cell carries along, Angstrom.

        A translation of all atoms together is none.
        """
        moved = self._positions - self._first
        moved = (moved - moved.mean(axis=0)) @ self._deformation
        return float(np.sqrt((moved**2).sum(axis=1).mean()))

    def force(self, forces: NDArray[np.float64], stress: NDArray[np.float64] | None) -> NDArray[np.float64]:
        """Force on the coordinates, (size,).

        Parameters
        ----------
        forces, stress
            (N, 3) eV/Angstrom, and (3, 3) eV/Angstrom^3 where the relaxation stands, external pressure
            added; the stress is needed if the cell relaxes.
        """
        on_atoms = (forces @ self._deformation).ravel()
        if not self._relax_cell or stress is None:
            return on_atoms
        volume = abs(float(np.linalg.det(self._lattice))) * self.volume_ratio
        by_deformation = -volume * stress @ np.linalg.inv(self._deformation)
        by_strain = _exponential_adjoint(self._strain, by_deformation)
        on_cell = (by_strain + by_strain.T) / 2 / len(self._numbers)
        return np.concatenate([on_atoms, on_cell.ravel()])

    def move(self, displacement: NDArray[np.float64]) -> None:
        """Move the coordinates by (size,) Angstrom."""
        atoms = self._positions.size
        self._positions = self._positions + displacement[:atoms].reshape(-1, 3)
        if self._relax_cell:
            self._strain = self._strain + displacement[atoms:].reshape(3, 3) / len(self._numbers)
            self._deformation = expm(self._strain)


def _exponential_adjoint(strain: NDArray[np.float64], gradient: NDArray[np.float64]) -> NDArray[np.float64]:
    """Derivative by a symmetric matrix, given the derivative by its exponential (both (3, 3)).

    The derivative of the exponential is self-adjoint at a symmetric matrix; it is the upper right block of
    the exponential of a matrix of blocks (Mathias, SIAM J. Matrix Anal. Appl. 17, 610 (1996)).
    """
    blocks = np.block([[strain, gradient], [np.zeros((3, 3)), strain]])
    derivative: NDArray[np.float64] = expm(blocks)[:3, 3:]
    return derivative
