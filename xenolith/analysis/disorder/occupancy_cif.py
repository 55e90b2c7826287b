"""CIF files of shared sites."""

import warnings
from typing import Any

from xenolith.analysis.disorder.parent import SYMPREC, DisorderedParent
from xenolith.elements import SYMBOLS
from xenolith.optional import require

__all__ = ["occupancy_cif"]


def occupancy_cif(parent: DisorderedParent) -> str:
    """Return CIF text of a parent's conventional cell, with its space group and the occupancies."""
    core: Any = require("pymatgen.core", "pymatgen")
    cif: Any = require("pymatgen.io.cif", "pymatgen")
    species = [
        {SYMBOLS[z]: fraction for z, fraction in parent.occupancies[orbit].items()} for orbit in parent.orbits
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        structure = core.Structure(parent.lattice, species, parent.frac_coords)
        return str(cif.CifWriter(structure, symprec=SYMPREC))
