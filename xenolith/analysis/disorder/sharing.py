"""Which elements could share a site: those of like size that do not attract each other as ions do."""

import itertools
from collections.abc import Iterable
from typing import Any

from xenolith.elements import ELECTRONEGATIVITY, SYMBOLS
from xenolith.optional import require

__all__ = ["could_share", "sharing_sets"]

_LARGEST_MISFIT = 0.20
"""Of the larger radius; W. Hume-Rothery's 15 % for metals, wider because salts mix up to K and Na (18 %)."""
_LARGEST_CONTRAST = 1.0
"""Difference of Pauling electronegativities; beyond it, elements are ions of opposite charge."""
_LARGEST_SET = 4


def could_share(first: int, second: int) -> bool:
    """Whether two elements, by atomic number, could take each other's place.

    This only bounds what is tried: energies decide. Radii are Slater's (J. Chem. Phys. 41, 3199, 1964).
    """
    core: Any = require("pymatgen.core", "pymatgen")
    radii = [core.Element(SYMBOLS[z]).atomic_radius for z in (first, second)]
    contrast = abs(ELECTRONEGATIVITY[first] - ELECTRONEGATIVITY[second])
    if any(radius is None for radius in radii) or not contrast <= _LARGEST_CONTRAST:
        return False
    return float(abs(radii[0] - radii[1])) <= _LARGEST_MISFIT * float(max(radii)) + 1e-9


def sharing_sets(numbers: Iterable[int]) -> list[frozenset[int]]:
    """Return every set of two to four of these elements of which all pairs could share a site."""
    present = sorted(set(numbers))
    pairs = {frozenset(pair) for pair in itertools.combinations(present, 2) if could_share(*pair)}
    return [
        frozenset(members)
        for size in range(2, _LARGEST_SET + 1)
        for members in itertools.combinations(present, size)
        if all(frozenset(pair) in pairs for pair in itertools.combinations(members, 2))
    ]
