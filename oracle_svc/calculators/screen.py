"""Checks that every calculator makes before it looks for neighbours."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from oracle_svc.crystals.elements import element_name
from oracle_svc.crystals.neighbors import MAX_PAIRS
from oracle_svc.status import Status

__all__ = ["screen"]


def screen(
    lattice: NDArray[np.float64],
    numbers: NDArray[np.int32],
    frac_coords: NDArray[np.float64],
    elements: frozenset[int],
) -> tuple[Status, str] | None:
    """Return why a structure cannot be evaluated, or None.

    Parameters
    ----------
    lattice, numbers, frac_coords
        (3, 3) in Angstrom, (N,), (N, 3).
    elements
        Atomic numbers that the calculator covers.
    """
    if len(numbers) == 0:
        return Status.MALFORMED, "it has no atoms"
    if not (np.isfinite(lattice).all() and np.isfinite(frac_coords).all()):
        return Status.NONFINITE, "its cell or coordinates hold NaN or infinity"
    if len(numbers) ** 2 > MAX_PAIRS:
        return Status.TOO_LARGE, f"{len(numbers)} atoms are too many for one evaluation"
    unknown = sorted({int(z) for z in numbers} - elements)
    if unknown:
        names = ", ".join(element_name(z) for z in unknown)
        return Status.UNSUPPORTED_ELEMENT, f"the calculator does not cover {names}"
    with np.errstate(over="ignore", invalid="ignore"):
        volume = abs(float(np.linalg.det(lattice)))
    if not (np.isfinite(volume) and volume > 0):
        return Status.BAD_CELL, f"its cell has a volume of {volume:.3g} A^3"
    return None
