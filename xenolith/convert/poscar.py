"""VASP's POSCAR and CONTCAR files."""

from pathlib import Path
from typing import Any

from xenolith.convert.pymatgen_structure import to_pymatgen
from xenolith.convert.reading.poscar import read_poscar_text
from xenolith.convert.reading.whole import crystals_of
from xenolith.crystal import Crystal
from xenolith.optional import require

__all__ = ["read_poscar", "to_poscar"]


def read_poscar(path: str | Path) -> Crystal:
    """Return the crystal of a POSCAR file.

    Raises
    ------
    ReadError
        If the file cannot be understood, or does not name its elements.
    """
    return crystals_of(path, read_poscar_text)[0]


def to_poscar(crystal: Crystal) -> str:
    """Return POSCAR text; atoms are grouped by element."""
    vasp: Any = require("pymatgen.io.vasp.inputs", "pymatgen")
    return str(vasp.Poscar(to_pymatgen(crystal).get_sorted_structure()).get_str(significant_figures=12))
