"""CIF text that lists every atom, as most data sets hold it, read without a full parser: fast."""

import math
import re
from collections import Counter

import numpy as np

from xenolith.convert.reading import Text
from xenolith.convert.reading.cif import read_cif_blocks
from xenolith.elements import atomic_number
from xenolith.errors import DisorderedError, ReadError

__all__ = ["NotListedError", "read_listed", "read_one"]

_CELL = ("length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma")
_NAMES = re.compile(
    r"^\s*_(?:symmetry_space_group_name_H-M|space_group_name_H-M_alt)\s+(.+?)\s*$", re.MULTILINE
)
_FORMULA = re.compile(r"^_chemical_formula_sum\s+(.+?)\s*$", re.MULTILINE)
_PART = re.compile(r"([A-Z][a-z]?)(\d*)")
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
    if any(name.replace(" ", "").strip("'\"") != "P1" for name in _NAMES.findall(text)):
        raise NotListedError("the crystal has a symbol that is not P 1")
    if "_atom_site_attached_hydrogens" in text:
        raise NotListedError("hydrogens may have no position")
    try:
        return _read(text)
    except DisorderedError:
        raise
    except (ValueError, KeyError, IndexError) as error:
        raise NotListedError(str(error)) from error


def read_one(text: str) -> tuple[list[float], list[int], list[float]]:
    """Return the crystal of CIF text as `read_listed` does, by the one reader where it is not listed plainly.

    Raises
    ------
    DisorderedError
        Sites are partly occupied.
    ReadError
        There is not one crystal; says why.
    """
    try:
        return read_listed(text)
    except NotListedError:
        found = list(read_cif_blocks(Text(text=text)))
    if len(found) != 1:
        raise ReadError(f"holds {len(found)} crystals, not one")
    crystal = found[0].crystal
    if crystal is None:
        raise found[0].problem or ReadError("holds no crystal")
    lengths = np.linalg.norm(crystal.lattice, axis=1)
    cosines = [
        crystal.lattice[i] @ crystal.lattice[j] / (lengths[i] * lengths[j])
        for i, j in ((1, 2), (0, 2), (0, 1))
    ]
    cell = [*lengths.tolist(), *np.degrees(np.arccos(cosines)).tolist()]
    return cell, crystal.numbers.tolist(), crystal.frac_coords.ravel().tolist()


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
        if any(0 < float(atom[occupancy]) < 1 - 1e-3 for atom in atoms):
            raise DisorderedError("the crystal has partially occupied sites")
        if any(float(atom[occupancy]) != 1 for atom in atoms):
            raise ValueError("the crystal has occupancies that are to be judged")
    numbers = [atomic_number(re.sub(r"[^A-Za-z]", "", atom[symbol])) for atom in atoms]
    if not _agrees(text, numbers):
        raise ValueError("the atoms are not those of the formula")
    frac = [float(value) for atom in atoms for value in atom[x : x + 3]]
    if not all(map(math.isfinite, [*cell, *frac])):
        raise ValueError("a number is not finite")
    return cell, numbers, frac


def _agrees(text: str, numbers: list[int]) -> bool:
    """Whether the formula, where there is one, is that of the atoms."""
    found = _FORMULA.search(text)
    if found is None:
        return True
    parts = found[1].strip("'\"").split()
    counts: Counter[int] = Counter()
    for part in parts:
        one = _PART.fullmatch(part)
        if one is None:
            return False
        counts[atomic_number(one[1])] += int(one[2] or 1)
    return counts == Counter(numbers)


def _value(text: str, key: str) -> str:
    found = re.search(rf"^{key}\s+(\S+)", text, re.MULTILINE)
    if found is None:
        raise ValueError(f"the crystal has no {key}")
    return found.group(1)
