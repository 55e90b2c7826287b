"""Crystals from and to ``pymatgen.core.Structure``."""

from typing import TYPE_CHECKING, Any

import numpy as np

from xenolith.convert.periodicity import expect_periodic
from xenolith.crystal import Crystal
from xenolith.elements import SYMBOLS
from xenolith.errors import DisorderedError, ReadError
from xenolith.optional import require

if TYPE_CHECKING:
    from pymatgen.core import Structure

__all__ = ["from_pymatgen", "notes_of_pymatgen", "to_pymatgen"]

_ISOTOPES = {"D": "deuterium", "T": "tritium"}


def from_pymatgen(structure: "Structure", *, periodic: bool = False) -> Crystal:
    """Return the crystal of a pymatgen structure; oxidation states and site properties are left behind.

    Parameters
    ----------
    periodic
        Take structures too whose lattice is not periodic in all three directions.

    Raises
    ------
    DisorderedError
        If a site is shared or partly vacant.
    ReadError
        If a site holds no element, or the structure is not periodic and was not to be taken.
    """
    if not structure.is_ordered:
        raise DisorderedError(f"{structure.composition.reduced_formula} has partially occupied sites")
    expect_periodic(structure.lattice.pbc, periodic)
    numbers = []
    for index, site in enumerate(structure):
        number = site.specie.Z
        if not 1 <= number < len(SYMBOLS):  # a dummy has a number of its own
            raise ReadError(f"site {index} holds {site.specie}, which is no element")
        numbers.append(number)
    return Crystal(
        lattice=structure.lattice.matrix,
        numbers=np.array(numbers, dtype=np.int32),
        frac_coords=np.asarray(structure.frac_coords, dtype=np.float64).reshape(-1, 3),
    )


def notes_of_pymatgen(structure: "Structure") -> tuple[str, ...]:
    """Return what `from_pymatgen` assumes of a structure that it takes."""
    notes = [expect_periodic(structure.lattice.pbc, True)]
    # The symbol of deuterium is H, its name D.
    symbols = {getattr(getattr(site.specie, "element", site.specie), "name", "") for site in structure}
    notes += [f"{name} ({s}) is taken as hydrogen" for s, name in _ISOTOPES.items() if s in symbols]
    return tuple(note for note in notes if note)


def to_pymatgen(crystal: Crystal) -> "Structure":
    """Return a pymatgen structure with the same cell, atoms and order.

    Raises
    ------
    MissingExtraError
        If pymatgen is not installed.
    ValueError
        If an atomic number is no element.
    """
    core: Any = require("pymatgen.core", "pymatgen")
    return core.Structure(
        lattice=crystal.lattice,
        species=[int(number) for number in crystal.numbers],
        coords=crystal.frac_coords,
    )
