"""Charge neutrality of compositions by SMACT's rules, with bounded cost.

Reported beside validity, never a gate: many metals and real mixed-valence compounds fail it.
Source: Davies et al., J. Open Source Softw. 4, 1361 (2019).
"""

from __future__ import annotations

from functools import lru_cache
from math import gcd

import numpy as np
from numpy.typing import NDArray
from pymatgen.core import Composition
from smact.screening import smact_validity

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
    return bool(smact_validity(Composition({SYMBOLS[z]: count for z, count in formula})))
