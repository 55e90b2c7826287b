"""CIF files, through pymatgen."""

import warnings
from pathlib import Path
from typing import Any

from xenolith.convert.pymatgen_structure import from_pymatgen, to_pymatgen
from xenolith.crystal import Crystal
from xenolith.errors import DisorderedError, ReadError
from xenolith.optional import require

__all__ = ["read_cif", "to_cif", "write_cif"]


def read_cif(path: str | Path) -> list[Crystal]:
    """Return the crystals of a CIF file, one for each data block, cells as written (not reduced).

    Raises
    ------
    DisorderedError
        If a block has partially occupied sites.
    ReadError
        If the file holds no crystal, or cannot be understood.
    """
    cif: Any = require("pymatgen.io.cif", "pymatgen")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about roundings and occupancies; what matters raises
            structures = cif.CifParser(str(path)).parse_structures(primitive=False, on_error="raise")
            return [from_pymatgen(structure) for structure in structures]
    except DisorderedError as error:
        raise DisorderedError(f"{path}: {error.message}") from error
    except OSError as error:
        raise ReadError(f"{path}: {error.strerror or error}") from error
    except Exception as error:  # a parser of free text fails in any way there is
        raise ReadError(f"{path} is not a readable CIF file: {_one_line(error)}") from error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def to_cif(crystal: Crystal, symprec: float | None = None) -> str:
    """Return CIF text; with `symprec` (Angstrom) symmetry is found and written, else all atoms in P1."""
    cif: Any = require("pymatgen.io.cif", "pymatgen")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return str(cif.CifWriter(to_pymatgen(crystal), symprec=symprec, significant_figures=10))


def write_cif(crystal: Crystal, path: str | Path, symprec: float | None = None) -> None:
    """Write a CIF file, as `to_cif` gives it."""
    Path(path).write_text(to_cif(crystal, symprec))
