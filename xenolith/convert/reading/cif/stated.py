"""Statements of a data block beside the atoms: formula, formula units, volume."""

import math
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

from xenolith.convert.reading.cif.blocks import Block
from xenolith.convert.reading.numbers import number
from xenolith.convert.reading.species import symbol_of
from xenolith.elements import SYMBOLS
from xenolith.errors import ReadError

__all__ = ["Formula", "contradiction", "stated_formula", "stated_units", "volume_contradiction"]

_PART = re.compile(r"([A-Za-z]{1,2})(\d+\.?\d*|\.\d+)?[+-]?")
_VOLUME_NOTED, _VOLUME_REFUSED = 0.01, 0.05


@dataclass(frozen=True, kw_only=True)
class Formula:
    """A sum formula."""

    text: str
    counts: dict[int, float]
    """Amount by atomic number."""


def stated_formula(block: Block) -> Formula | None:
    """Return the formula of a block; None if it has none, or one that is no plain sum."""
    text = block.value("_chemical_formula_sum")
    counts: dict[int, float] = {}
    plain = re.sub(r"[\s'\"~_]", "", text) if " " not in text.strip() else text
    parts = plain.split() if " " in text.strip() else _PART_TEXTS.findall(plain)
    if not parts or (" " not in text.strip() and "".join(parts) != plain):
        return None
    for part in parts:
        found = _PART.fullmatch(part)
        if found is None:
            return None
        try:
            z = symbol_of(found[1]).candidates[0]
        except ValueError:
            return None
        counts[z] = counts.get(z, 0.0) + float(found[2] or 1)
    counts = {z: amount for z, amount in counts.items() if amount}
    return Formula(text=text, counts=counts) if counts else None


_PART_TEXTS = re.compile(r"[A-Z][a-z]?(?:\d+\.?\d*|\.\d+)?")


def stated_units(block: Block) -> float:
    """Return Z, the formula units of the cell; 0 if the block does not say."""
    text = block.value("_cell_formula_units_z", "_cell_z", "_cell_z_pdb")
    try:
        return number(text) if text else 0.0
    except ValueError:
        return 0.0


def contradiction(numbers: Iterable[int], formula: Formula | None, units: float) -> str:
    """Return how the atoms of a cell contradict formula and Z; empty if they do not.

    Some programs write the formula of the whole cell beside Z: that is no contradiction.
    """
    counts = Counter(int(z) for z in numbers)
    if not counts:
        return "there are no atoms"
    if formula is None:
        if units >= 1 and units == int(units) and any(count % int(units) for count in counts.values()):
            return f"{_written(counts)} cannot be {units:g} formula units (_cell_formula_units_Z)"
        return ""
    first = next(iter(formula.counts))
    ratio = counts.get(first, 0) / formula.counts[first]
    same = set(counts) == set(formula.counts) and all(
        math.isclose(counts[z], ratio * amount, rel_tol=1e-3, abs_tol=1e-3)
        for z, amount in formula.counts.items()
    )
    told = f"the atoms are {_written(counts)}, and _chemical_formula_sum says {formula.text}"
    if not same:
        return told
    if units > 0 and not math.isclose(ratio, units, rel_tol=1e-3):
        whole_cell = (
            math.isclose(ratio, 1, rel_tol=1e-3) and math.gcd(*counts.values()) % Fraction(units) == 0
        )
        if not whole_cell:
            return f"{told}, {units:g} times (_cell_formula_units_Z)"
    return ""


def volume_contradiction(block: Block, volume: float) -> str:
    """Return a note if the cell has not the volume that the block states, Angstrom^3; empty if it has.

    Raises
    ------
    ReadError
        They differ by more than 5 %.
    """
    text = block.value("_cell_volume")
    try:
        stated = number(text)
    except ValueError:
        return ""
    off = abs(stated - volume) / max(volume, 1e-9)
    told = f"the cell has {volume:.2f} A^3, and _cell_volume says {text}"
    if off > _VOLUME_REFUSED:
        raise ReadError(told)
    return told if off > _VOLUME_NOTED else ""


def _written(counts: Counter[int]) -> str:
    return " ".join(f"{SYMBOLS[z]}{count if count > 1 else ''}" for z, count in sorted(counts.items()))
