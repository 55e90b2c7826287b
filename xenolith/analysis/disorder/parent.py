"""The disordered parent of an ordered crystal: what is left of it when some elements cannot be told apart."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xenolith.crystal import Crystal
from xenolith.optional import require

__all__ = ["BOLTZMANN", "SYMPREC", "DisorderedParent", "parent_of"]

BOLTZMANN = 8.617333262e-5
"""eV/K."""
SYMPREC = 1e-3
"""Angstrom: parents are idealised."""
_TOLERANCES = (0.1, 0.2, 0.3, 0.4)
"""Angstrom: an ordering strains its parent (CuAu by 0.3 Angstrom), so that looser ones are tried too."""
_ANGLE = 10.0
"""Degrees, for the same reason."""


@dataclass(frozen=True, kw_only=True)
class DisorderedParent:
    """A primitive cell with shared sites."""

    lattice: NDArray[np.float64]
    """(3, 3) rows, Angstrom."""
    frac_coords: NDArray[np.float64]
    """(N, 3)."""
    orbits: NDArray[np.int64]
    """(N,) which orbit each site is of."""
    occupancies: tuple[Mapping[int, float], ...]
    """Fraction of each atomic number on the sites of each orbit; of one element where nothing is shared."""
    space_group: str
    """Hermann-Mauguin symbol and number."""
    ordered_space_group: str
    """That of the ordered crystal, at the same tolerance."""
    symprec: float
    """Tolerance at which the parent was found, Angstrom."""

    @property
    def shared(self) -> NDArray[np.bool_]:
        """(N,) which sites are shared."""
        return np.array([len(self.occupancies[orbit]) > 1 for orbit in self.orbits])

    @property
    def mixing_entropy(self) -> float:
        """Ideal entropy of mixing, eV/K per atom of the cell."""
        total = sum(
            -fraction * math.log(fraction)
            for orbit in self.orbits
            for fraction in self.occupancies[orbit].values()
        )
        return BOLTZMANN * total / len(self.orbits)

    def fits(self, copies: int) -> bool:
        """Whether `copies` cells hold a whole number of atoms of each element on each orbit."""
        for orbit, occupancy in enumerate(self.occupancies):
            sites = int((self.orbits == orbit).sum()) * copies
            if any(abs(sites * x - round(sites * x)) > 1e-6 for x in occupancy.values()):
                return False
        return True


def parent_of(crystal: Crystal, mixing: frozenset[int]) -> DisorderedParent | None:
    """Return the parent in which the elements of `mixing` cannot be told apart.

    Of parents that different tolerances give, it is the one of the highest symmetry.

    Returns
    -------
    DisorderedParent or None
        None if sites of different elements do not become equivalent: the symmetry does not rise then.
    """
    best: tuple[float, DisorderedParent] | None = None
    for symprec in _TOLERANCES:
        found = _parent_within(crystal, mixing, symprec)
        if found is not None and (best is None or found[0] > best[0] + 1e-6):
            best = found
    return None if best is None else best[1]


def _parent_within(
    crystal: Crystal, mixing: frozenset[int], symprec: float
) -> tuple[float, DisorderedParent] | None:
    """The parent at one tolerance, and how many operations it has for each atom."""
    spglib: Any = require("spglib", "pymatgen")
    merged = np.where(np.isin(crystal.numbers, list(mixing)), min(mixing), crystal.numbers)
    place = (crystal.lattice, crystal.frac_coords)
    loose = {"symprec": symprec, "angle_tolerance": _ANGLE}
    found = spglib.get_symmetry_dataset((*place, merged), **loose)
    before = spglib.get_symmetry_dataset((*place, crystal.numbers), **loose)
    if found is None or before is None:
        return None
    firsts, orbits = np.unique(found.equivalent_atoms, return_inverse=True)
    members = [crystal.numbers[orbits == orbit] for orbit in range(len(firsts))]
    if all(len(set(numbers.tolist())) == 1 for numbers in members):
        return None
    # Each orbit is a type of its own: the cell that comes back says which site is of which.
    cell = spglib.standardize_cell((*place, orbits + 1), to_primitive=True, **loose)
    operations = None if cell is None else spglib.get_symmetry(cell, symprec=SYMPREC)
    if cell is None or operations is None:
        return None
    lattice, positions, kinds = cell
    parent = DisorderedParent(
        lattice=np.asarray(lattice, dtype=np.float64),
        frac_coords=np.asarray(positions, dtype=np.float64),
        orbits=np.asarray(kinds, dtype=np.int64) - 1,
        occupancies=tuple(
            {int(z): float((numbers == z).mean()) for z in np.unique(numbers)} for numbers in members
        ),
        space_group=f"{found.international} ({found.number})",
        ordered_space_group=f"{before.international} ({before.number})",
        symprec=symprec,
    )
    return len(operations["rotations"]) / len(kinds), parent
