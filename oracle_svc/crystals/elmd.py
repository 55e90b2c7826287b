"""Element mover's distance (ElMD): how far one composition is from another.

The elements stand in a line in which neighbours replace each other best, the modified Pettifor scale (H.
Glawe et al., New J. Phys. 18, 093011 (2016)), one step apart. ElMD is the least work that turns the atomic
fractions of one composition into those of the other, fraction times steps (C. J. Hargreaves et al., Chem.
Mater. 32, 10610 (2020)). On a line that work is the area between the two cumulative sums, so it needs no
optimiser.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xenolith.elements import SYMBOLS

__all__ = ["SCALE", "SIZE", "cumulative", "elmd", "positions_of"]

_LINE = """
He Ne Ar Kr Xe Rn Fr Cs Rb K Na Li Ra Ba Sr Ca Eu Yb Lu Tm Y Er Ho Dy Tb Gd Sm Pm Nd Pr Ce La Ac Th Pa U Np
Pu Am Cm Bk Cf Es Fm Md No Lr Sc Zr Hf Ti Ta Nb V Cr Mo W Re Tc Os Ru Ir Rh Pt Pd Au Ag Cu Ni Co Fe Mn Mg Zn
Cd Hg Be Al Ga In Tl Pb Sn Ge Si B C N P As Sb Bi Po Te Se S O At I Br Cl F H
"""
SCALE: tuple[str, ...] = tuple(_LINE.split())
"""The elements in the order of the scale; those after lawrencium have no place on it."""

SIZE = len(SCALE)

_POSITIONS = np.full(len(SYMBOLS), -1, dtype=np.int64)
for _place, _symbol in enumerate(SCALE):
    _POSITIONS[SYMBOLS.index(_symbol)] = _place


def positions_of(numbers: NDArray[np.integer]) -> NDArray[np.int64]:
    """Position on the scale of each atomic number; -1 for elements that have none."""
    return _POSITIONS[np.asarray(numbers, dtype=np.int64)]


def cumulative(numbers: NDArray[np.integer]) -> NDArray[np.float64] | None:
    """Cumulative atomic fractions (103,) along the scale.

    Parameters
    ----------
    numbers
        (N,) atomic number of each atom, N >= 1.

    Returns
    -------
    (103,) float64, or None if an element has no place on the scale.
    """
    places = positions_of(numbers)
    if (places < 0).any():
        return None
    return np.asarray(np.cumsum(np.bincount(places, minlength=SIZE)) / len(places))


def elmd(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distances (...) in steps of the scale between cumulative fractions (..., 103)."""
    return np.asarray(np.abs(a - b).sum(axis=-1))
