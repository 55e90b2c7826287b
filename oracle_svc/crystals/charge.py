"""Charge neutrality of compositions by SMACT's rules, with bounded cost.

Reported beside validity, never a gate: many metals and real mixed-valence compounds fail it.
Source: Davies et al., J. Open Source Softw. 4, 1361 (2019).
"""

from __future__ import annotations

from functools import cache, lru_cache
from itertools import product
from math import gcd
from operator import mul

import numpy as np
from numpy.typing import NDArray
from smact import Element, metals
from smact.screening import ICSD24FilterConfig, _get_icsd24_oxidation_dict, pauling_test

from xenolith.elements import SYMBOLS

__all__ = ["MAX_ELEMENTS", "charge_neutral"]

MAX_ELEMENTS = 6
"""Most elements that are judged: the rules try all combinations of oxidation states."""
_LAST_KNOWN = 103


def charge_neutral(numbers: NDArray[np.integer]) -> bool | None:
    """Whether common oxidation states can balance, with anions more electronegative than cations.

    Alloys of metals alone, and elements, pass.

    Parameters
    ----------
    numbers
        (N,) atomic numbers.

    Returns
    -------
    bool or None
        None where the rules say nothing: more than `MAX_ELEMENTS` elements, or one they do not know.
    """
    elements, counts = np.unique(numbers, return_counts=True)
    if not 0 < len(elements) <= MAX_ELEMENTS or elements[0] < 1 or elements[-1] > _LAST_KNOWN:
        return None
    factor = gcd(*counts.tolist())
    return _judge(tuple(zip(elements.tolist(), (counts // factor).tolist(), strict=True)))


@lru_cache(maxsize=65_536)
def _judge(formula: tuple[tuple[int, int], ...]) -> bool:
    """As `smact.screening.smact_validity`, which reads what is known of an element for each composition."""
    symbols = [SYMBOLS[z] for z, _ in formula]
    if len(symbols) == 1 or all(symbol in metals for symbol in symbols):
        return True
    known = _oxidation_states()
    if not all(symbol in known for symbol in symbols):
        return False
    counts = [count for _, count in formula]
    electronegativities = [_electronegativity(symbol) for symbol in symbols]
    return any(
        sum(map(mul, states, counts)) == 0 and _ordered(states, electronegativities)
        for states in product(*(known[symbol] for symbol in symbols))
    )


def _ordered(states: tuple[int, ...], electronegativities: list[float | None]) -> bool:
    """Whether anions are more electronegative than cations; where that is unknown, they count as such."""
    try:
        return bool(pauling_test(states, electronegativities))
    except TypeError:
        return True


@cache
def _oxidation_states() -> dict[str, list[int]]:
    """Common oxidation states by symbol, those that SMACT judges by if nothing else is asked of it."""
    usual = ICSD24FilterConfig()
    states: dict[str, list[int]] = _get_icsd24_oxidation_dict(
        include_zero=usual.include_zero, consensus=usual.consensus, commonality=usual.commonality
    )
    return states


@cache
def _electronegativity(symbol: str) -> float | None:
    value: float | None = Element(symbol).pauling_eneg
    return value
