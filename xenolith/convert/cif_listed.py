"""CIF text that lists every atom, as most data sets hold it, read without a full parser: fast."""

import re

from xenolith.elements import atomic_number
from xenolith.errors import DisorderedError

__all__ = ["NotListedError", "read_listed"]

_CELL = ("length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma")
_SYMMETRY = re.compile(r"^\s*_(?:symmetry_Int_Tables_number|space_group_IT_number)\s+(\S+)", re.MULTILINE)
_OPERATIONS = re.compile(r"^\s*(?:\d+\s+)?'[^'\n]*[xX][^'\n]*,[^'\n]*,[^'\n]*'\s*$", re.MULTILINE)


class NotListedError(ValueError):
    """Symmetry has to be applied, or the text is of another form: a full parser is needed."""


def read_listed(text: str) -> tuple[list[float], list[int], list[float]]:
    """Return a, b, c, alpha, beta, gamma (Angstrom, degrees), atomic numbers, flat fractional coordinates.

    Raises
    ------
    DisorderedError
        Sites are partly occupied.
    NotListedError
        The text does not simply list all atoms of one crystal.
    """
    if len(re.findall(r"^data_", text, re.MULTILINE)) > 1:
        raise NotListedError("several crystals")
    if any(number != "1" for number in _SYMMETRY.findall(text)) or len(_OPERATIONS.findall(text)) > 1:
        raise NotListedError("the crystal is not listed atom by atom")
    try:
        return _read(text)
    except DisorderedError:
        raise
    except (ValueError, KeyError, IndexError) as error:
        raise NotListedError(str(error)) from error


def _read(text: str) -> tuple[list[float], list[int], list[float]]:
    cell = [float(_value(text, f"_cell_{name}")) for name in _CELL]
    if not _SYMMETRY.search(text):
        raise ValueError("the crystal does not say its symmetry")
    columns = re.findall(r"^\s*(_atom_site_\w+)\s*$", text, re.MULTILINE)
    symbol, x = columns.index("_atom_site_type_symbol"), columns.index("_atom_site_fract_x")
    atoms = [
        line.split() for line in text[text.rindex(columns[-1]) + len(columns[-1]) :].strip().splitlines()
    ]
    if not atoms or any(len(atom) != len(columns) for atom in atoms):
        raise ValueError("the list of atoms is cut short")
    if "_atom_site_occupancy" in columns:
        occupancy = columns.index("_atom_site_occupancy")
        if any(abs(float(atom[occupancy]) - 1) > 1e-3 for atom in atoms):
            raise DisorderedError("the crystal has partially occupied sites")
    numbers = [atomic_number(re.sub(r"[^A-Za-z]", "", atom[symbol])) for atom in atoms]
    return cell, numbers, [float(value) for atom in atoms for value in atom[x : x + 3]]


def _value(text: str, key: str) -> str:
    found = re.search(rf"^{key}\s+(\S+)", text, re.MULTILINE)
    if found is None:
        raise ValueError(f"the crystal has no {key}")
    return found.group(1)
