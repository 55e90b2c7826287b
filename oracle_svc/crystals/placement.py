"""From the description in which a crystal was computed to the one in which somebody sent it.

A crystal is computed once, in one primitive cell; whoever asks for forces or a relaxed structure gets them
for atoms, cell and orientation as sent.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from oracle_svc.crystals.canonical import TOLERANCE, CanonicalForm
from oracle_svc.crystals.lattice import lattice_maps, primitive_cell
from xenolith.crystal import Crystal

__all__ = ["Placement"]


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Where the atoms of a given crystal are in a primitive cell of the same crystal."""

    turn: NDArray[np.float64]
    """(3, 3) orthogonal: takes row vectors of the primitive cell to the given orientation."""
    cell: NDArray[np.float64]
    """(3, 3) whole coefficients of the given cell in the primitive one."""
    atom: NDArray[np.int64]
    """(N,) atom of the primitive cell that each given atom is a copy of."""
    offset: NDArray[np.float64]
    """(N, 3) what to add to its fractional coordinates there."""

    @classmethod
    def of(cls, crystal: Crystal, form: CanonicalForm) -> Placement:
        """Find the placement of `crystal` in `form`, a primitive cell of the same crystal.

        Raises
        ------
        ValueError
            If they are not the same crystal.
        """
        for basis in _bases(crystal, form):
            turn = _nearest_turn(form.lattice, basis)
            cell = np.asarray(np.round(crystal.lattice @ np.linalg.inv(basis)), dtype=np.float64)
            frac = crystal.frac_coords @ crystal.lattice @ np.linalg.inv(basis)
            for shift in _shifts(crystal, frac, form):
                found = _landings(crystal, frac - shift, form)
                if found is not None:
                    atom, copies = found
                    return cls(turn=turn, cell=cell, atom=atom, offset=copies + shift)
        raise ValueError("the crystal is not the one that was computed")

    def crystal(
        self, lattice: NDArray[np.float64], frac_coords: NDArray[np.float64], numbers: NDArray[np.int32]
    ) -> Crystal:
        """The given crystal after its primitive cell (in the form's orientation) became this one.

        Parameters
        ----------
        lattice, frac_coords
            (3, 3) Angstrom and (n, 3), atoms followed continuously from where they were.
        numbers
            (N,) of the given crystal.
        """
        own = frac_coords[self.atom] + self.offset
        return Crystal(
            lattice=self.cell @ lattice @ self.turn,
            numbers=numbers,
            frac_coords=own @ np.linalg.inv(self.cell),
        )

    def forces(self, forces: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n, 3) forces in the primitive cell as (N, 3) on the given atoms."""
        turned: NDArray[np.float64] = (forces @ self.turn)[self.atom]
        return turned

    def stress(self, stress: NDArray[np.float64]) -> NDArray[np.float64]:
        """(3, 3) stress in the given orientation."""
        turned: NDArray[np.float64] = self.turn.T @ stress @ self.turn
        return turned


def _bases(crystal: Crystal, form: CanonicalForm) -> list[NDArray[np.float64]]:
    """Bases of the given crystal's primitive lattice that are congruent to the form's, likeliest first."""
    own, _, _ = primitive_cell(
        crystal.lattice, crystal.numbers.astype(np.int64), crystal.frac_coords, tolerance=TOLERANCE
    )
    return [whole @ own for whole in lattice_maps(form.lattice, own, tolerance=10.0 * TOLERANCE)]


def _nearest_turn(source: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """The orthogonal matrix nearest to the one that takes the source's basis to the target's."""
    left, _, right = np.linalg.svd(np.linalg.solve(source, target))
    turn: NDArray[np.float64] = left @ right
    return turn


def _shifts(crystal: Crystal, frac: NDArray[np.float64], form: CanonicalForm) -> list[NDArray[np.float64]]:
    """Translations that take an atom of the form's rarest element onto the first given one."""
    species, counts = np.unique(form.numbers, return_counts=True)
    rarest = species[np.argmin(counts)]
    found = np.flatnonzero(crystal.numbers == rarest)
    if len(found) == 0:
        return []
    first = frac[found[0]]
    return [first - other for other in form.frac_coords[form.numbers == rarest]]


def _landings(
    crystal: Crystal, frac: NDArray[np.float64], form: CanonicalForm
) -> tuple[NDArray[np.int64], NDArray[np.float64]] | None:
    """Atom (N,) of the form under each given atom and whole translations (N, 3) to it; None if one is off."""
    gaps = frac[:, None] - form.frac_coords[None]
    whole = np.round(gaps)
    distance = np.linalg.norm((gaps - whole) @ form.lattice, axis=2)
    distance[crystal.numbers[:, None] != form.numbers[None]] = np.inf
    atom = distance.argmin(axis=1)
    each = np.arange(len(frac))
    if float(distance[each, atom].max()) > 10.0 * TOLERANCE:
        return None
    return atom, whole[each, atom]
