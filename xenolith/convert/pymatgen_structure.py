"""Crystals from and to ``pymatgen.core.Structure``."""

from typing import TYPE_CHECKING, Any

import numpy as np

from xenolith.crystal import Crystal
from xenolith.errors import DisorderedError
from xenolith.optional import require

if TYPE_CHECKING:
    from pymatgen.core import Structure

__all__ = ["from_pymatgen", "to_pymatgen"]


def from_pymatgen(structure: "Structure") -> Crystal:
    """Return the crystal of a pymatgen structure; oxidation states and site properties are left behind.

    Raises
    ------
    DisorderedError
        If a site is shared or partly vacant.
    """
    if not structure.is_ordered:
        raise DisorderedError(f"{structure.composition.reduced_formula} has partially occupied sites")
    return Crystal(
        lattice=structure.lattice.matrix,
        numbers=np.array([site.specie.Z for site in structure], dtype=np.int32),
        frac_coords=np.asarray(structure.frac_coords, dtype=np.float64).reshape(-1, 3),
    )


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
