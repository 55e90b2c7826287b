"""Reduced formulas, written as pymatgen writes them, without pymatgen."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping

from xenolith.elements import ELECTRONEGATIVITY, SYMBOLS

__all__ = ["formula_of_counts", "parse_formula", "reduced_formula"]

# Formulas that chemists do not reduce fully.
_SPECIAL = {
    "LiO": "Li2O2", "NaO": "Na2O2", "KO": "K2O2", "HO": "H2O2", "CsO": "Cs2O2", "RbO": "Rb2O2",
    "O": "O2", "N": "N2", "F": "F2", "Cl": "Cl2", "H": "H2",
}  # fmt: skip
# An opening bracket, or a closing one or a symbol with its amount.
_TOKEN = re.compile(r"(?P<open>\()|(?:(?P<close>\))|(?P<symbol>[A-Z][a-z]?))(?P<factor>\d+\.?\d*|\.\d+)?")
# Two last elements closer than this in electronegativity are a polyanion, as the PO4 of LiFePO4.
_POLYANION_GAP = 1.65


def reduced_formula(numbers: Iterable[int]) -> str:
    """Return the reduced formula of atoms, such as ``SrTiO3`` or ``Mg3(PO4)2``.

    Elements come in order of electronegativity; elements without one come last.

    Parameters
    ----------
    numbers
        Atomic number of each atom.

    Returns
    -------
    str
        The formula; empty if there are no atoms or a number is no element.
    """
    return formula_of_counts(Counter(int(number) for number in numbers))


def formula_of_counts(counts: Mapping[int, int]) -> str:
    """Return the reduced formula of atoms that are counted, as `reduced_formula` does.

    Parameters
    ----------
    counts
        How many atoms there are of each atomic number.

    Returns
    -------
    str
        The formula; empty if there are no atoms or a number is no element.
    """
    if not counts or min(counts) < 1 or max(counts) >= len(SYMBOLS):
        return ""
    formula, _ = _reduce({number: counts[number] for number in sorted(counts, key=_PLACES.__getitem__)})
    return _SPECIAL.get(formula, formula)


def parse_formula(formula: str) -> dict[str, float]:
    """Return the amounts of a formula: ``{"Mg": 3.0, "P": 2.0, "O": 8.0}`` of Mg3(PO4)2.

    Raises
    ------
    ValueError
        It is no formula.
    """
    groups: list[dict[str, float]] = [{}]
    place = 0
    for token in _TOKEN.finditer(formula):
        if token.start() != place or (token["close"] and len(groups) == 1):
            break
        place = token.end()
        if token["open"]:
            groups.append({})
            continue
        inner = groups.pop() if token["close"] else {token["symbol"]: 1.0}
        factor = float(token["factor"] or 1)
        for symbol, amount in inner.items():
            groups[-1][symbol] = groups[-1].get(symbol, 0.0) + amount * factor
    if place != len(formula) or len(groups) != 1 or not groups[0]:
        raise ValueError(f"{formula!r} is no formula; write it like SrTiO3")
    return groups[0]


def _order(number: int) -> tuple[float, str]:
    value = ELECTRONEGATIVITY[number]
    return (math.inf if math.isnan(value) else value, SYMBOLS[number])


_PLACES = [-1] * len(SYMBOLS)
"""Place of each element in the order of a formula, by atomic number."""
for _place, _number in enumerate(sorted(range(1, len(SYMBOLS)), key=_order)):
    _PLACES[_number] = _place


def _reduce(counts: dict[int, int]) -> tuple[str, int]:
    factor = math.gcd(*counts.values())
    elements = list(counts)
    anion = ""
    if (
        len(elements) >= 3
        and ELECTRONEGATIVITY[elements[-1]] - ELECTRONEGATIVITY[elements[-2]] < _POLYANION_GAP
    ):
        inner, inner_factor = _reduce({number: counts[number] // factor for number in elements[-2:]})
        if inner_factor != 1:
            anion, elements = f"({inner}){inner_factor}", elements[:-2]
    return "".join(_part(number, counts[number] // factor) for number in elements) + anion, factor


def _part(number: int, amount: int) -> str:
    return SYMBOLS[number] if amount == 1 else f"{SYMBOLS[number]}{amount}"
