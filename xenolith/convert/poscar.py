"""VASP's POSCAR and CONTCAR files, through pymatgen."""

import warnings
from pathlib import Path
from typing import Any

from xenolith.convert.pymatgen_structure import from_pymatgen, to_pymatgen
from xenolith.crystal import Crystal
from xenolith.errors import ReadError
from xenolith.optional import require

__all__ = ["read_poscar", "to_poscar"]


def read_poscar(path: str | Path) -> Crystal:
    """Return the crystal of a POSCAR file.

    Raises
    ------
    ReadError
        If the file cannot be understood, or does not name its elements.
    """
    vasp: Any = require("pymatgen.io.vasp.inputs", "pymatgen")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "error", category=vasp.BadPoscarWarning
            )  # element names guessed from nothing
            return from_pymatgen(vasp.Poscar.from_file(str(path), check_for_potcar=False).structure)
    except OSError as error:
        raise ReadError(f"{path}: {error.strerror or error}") from error
    except Exception as error:  # a parser of free text fails in any way there is
        raise ReadError(f"{path} is not a readable POSCAR file: {error}") from error


def to_poscar(crystal: Crystal) -> str:
    """Return POSCAR text; atoms are grouped by element."""
    vasp: Any = require("pymatgen.io.vasp.inputs", "pymatgen")
    return str(vasp.Poscar(to_pymatgen(crystal).get_sorted_structure()).get_str(significant_figures=12))
