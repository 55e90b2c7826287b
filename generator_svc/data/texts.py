"""One crystal from CIF text or from a pymatgen structure as JSON."""

from __future__ import annotations

import json
import warnings
from typing import Any

import numpy as np
from pymatgen.core import Structure
from pymatgen.io.cif import CifParser

from generator_svc.data.table import cells_from_parameters
from xenolith.convert.cif_listed import NotListedError, read_listed
from xenolith.convert.pymatgen_structure import from_pymatgen
from xenolith.crystal import Crystal
from xenolith.errors import DisorderedError, ReadError


def read_cif_text(text: str | None) -> Crystal:
    """Return the crystal of CIF text; fast where all atoms are listed, else through pymatgen.

    Raises
    ------
    DisorderedError : sites are shared or partly vacant.
    ReadError : it holds no crystal, several, or cannot be understood.
    """
    if not text or not isinstance(text, str):
        raise ReadError("is empty")
    try:
        parameters, numbers, frac = read_listed(text)
    except NotListedError:
        return _with_pymatgen(text)
    return Crystal(
        lattice=cells_from_parameters(np.array([parameters]))[0],
        numbers=np.array(numbers, dtype=np.int32),
        frac_coords=np.array(frac).reshape(-1, 3),
    )


def read_structure_json(value: str | dict[str, Any] | None) -> Crystal:
    """Return the crystal of a pymatgen structure as JSON text or as a mapping.

    Raises
    ------
    DisorderedError : sites are shared or partly vacant.
    ReadError : it is no structure.
    """
    if not value:
        raise ReadError("is empty")
    try:
        document = json.loads(value) if isinstance(value, str) else value
        return from_pymatgen(Structure.from_dict(document))
    except DisorderedError:
        raise
    except Exception as error:  # a reader of free text fails in any way there is
        raise ReadError(f"is no pymatgen structure: {' '.join(str(error).split())[:200]}") from error


def _with_pymatgen(text: str) -> Crystal:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about roundings and occupancies; what matters raises
            found = CifParser.from_str(text).parse_structures(primitive=False, on_error="raise")
    except Exception as error:  # a parser of free text fails in any way there is
        raise ReadError(f"is no readable CIF: {' '.join(str(error).split())[:200]}") from error
    if len(found) != 1:
        raise ReadError(f"holds {len(found)} crystals, expected one")
    return from_pymatgen(found[0])
