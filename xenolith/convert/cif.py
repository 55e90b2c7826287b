"""CIF files."""

import warnings
from pathlib import Path
from typing import Any

from xenolith.convert.pymatgen_structure import to_pymatgen
from xenolith.convert.reading.cif import read_cif_blocks
from xenolith.convert.reading.whole import crystals_of
from xenolith.convert.symmetric_cif import symmetric_cif
from xenolith.crystal import Crystal
from xenolith.optional import require

__all__ = ["read_cif", "to_cif", "write_cif"]


def read_cif(path: str | Path) -> list[Crystal]:
    """Return the crystals of a CIF file, one for each data block, cells as written (not reduced).

    Raises
    ------
    DisorderedError
        If a block has partially occupied sites.
    ReadError
        If the file holds no crystal, or one of them cannot be understood; `read_path` keeps the others.
    """
    return crystals_of(path, read_cif_blocks)


def to_cif(crystal: Crystal, symprec: float | None = None) -> str:
    """Return CIF text of all atoms in P1.

    With `symprec` (Angstrom) it is the conventional cell, idealised within this distance, with the operations
    of its space group. Where there is no symmetry, all atoms are listed.
    """
    if symprec is not None and (text := symmetric_cif(crystal, symprec)) is not None:
        return text
    cif: Any = require("pymatgen.io.cif", "pymatgen")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return str(cif.CifWriter(to_pymatgen(crystal), significant_figures=10))


def write_cif(crystal: Crystal, path: str | Path, symprec: float | None = None) -> None:
    """Write a CIF file, as `to_cif` gives it."""
    Path(path).write_text(to_cif(crystal, symprec))
