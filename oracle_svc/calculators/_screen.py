"""Checks that every calculator makes before it looks for neighbours."""

from __future__ import annotations

import numpy as np

from oracle_svc.status import Status

MAX_ROWS = 400_000
"""Most neighbour pairs (or angles) of one structure; about 600 MB of work space."""
_SYMBOLS = (
    "n H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr Rb "
    "Sr Y Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf "
    "Ta W Re Os Ir Pt Au Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U Np Pu Am Cm Bk Cf Es Fm Md No Lr Rf Db Sg Bh "
    "Hs Mt Ds Rg Cn Nh Fl Mc Lv Ts Og"
).split()


def element_name(number: int) -> str:
    """Return the symbol of an atomic number, or `Z = number` where there is none."""
    return _SYMBOLS[number] if 0 < number < len(_SYMBOLS) else f"Z = {number}"


def screen(
    lattice: np.ndarray, numbers: np.ndarray, frac_coords: np.ndarray, elements: frozenset[int], cutoff: float
) -> tuple[Status, str] | None:
    """Return why a structure cannot be evaluated, or None.

    Parameters
    ----------
    lattice, numbers, frac_coords
        (3, 3) in Angstrom, (N,), (N, 3).
    elements
        Atomic numbers that the calculator covers.
    cutoff
        Its neighbour radius in Angstrom; it bounds the work, whatever the cell.
    """
    if len(numbers) == 0:
        return Status.MALFORMED, "it has no atoms"
    if not (np.isfinite(lattice).all() and np.isfinite(frac_coords).all()):
        return Status.NONFINITE, "its cell or coordinates hold NaN or infinity"
    unknown = sorted({int(z) for z in numbers} - elements)
    if unknown:
        names = ", ".join(element_name(z) for z in unknown)
        return Status.UNSUPPORTED_ELEMENT, f"the calculator does not cover {names}"
    return _screen_cell(lattice, len(numbers), cutoff)


def _screen_cell(lattice: np.ndarray, count: int, cutoff: float) -> tuple[Status, str] | None:
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        normals = np.cross(lattice[[1, 2, 0]], lattice[[2, 0, 1]])
        volume = abs(float(lattice[0] @ normals[0]))
        heights = volume / np.linalg.norm(normals, axis=1)
        pairs = count * count * 4 / 3 * np.pi * cutoff**3 / volume if volume > 0 else np.inf
        images = float(np.prod(2 * np.ceil(cutoff / heights) + 1)) * count
    if not (np.isfinite(volume) and volume > 0 and np.isfinite(heights).all() and (heights > 0).all()):
        return Status.BAD_CELL, f"its cell has a volume of {volume:.3g} A^3"
    if not (pairs <= MAX_ROWS and images <= MAX_ROWS):
        return Status.CALCULATOR_FAILED, (
            f"{count} atoms in {volume:.3g} A^3 have too many neighbours within {cutoff:g} A"
        )
    return None
