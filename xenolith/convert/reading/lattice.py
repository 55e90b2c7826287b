"""Cells from lengths and angles."""

import math
from collections.abc import Sequence

import numpy as np

from xenolith.crystal import Floats
from xenolith.errors import ReadError

__all__ = ["lattice_from_parameters"]

_NAMES = ("length a", "length b", "length c", "angle alpha", "angle beta", "angle gamma")


def lattice_from_parameters(parameters: Sequence[float]) -> Floats:
    """Return (3, 3) row vectors of a, b, c (Angstrom), alpha, beta, gamma (degrees).

    c is along z and a in the plane of x and z, as pymatgen has them.

    Raises
    ------
    ReadError
        No cell has them; names the one at fault.
    """
    for name, value in zip(_NAMES, parameters, strict=True):
        if not math.isfinite(value) or value <= 0 or (name.startswith("angle") and value >= 180):
            raise ReadError(f"the cell's {name} cannot be {value:g}")
    a, b, c = parameters[:3]
    cos_a, cos_b, cos_g = (0.0 if angle == 90 else math.cos(math.radians(angle)) for angle in parameters[3:])
    sin_a, sin_b = math.sqrt(1 - cos_a**2), math.sqrt(1 - cos_b**2)
    cosine = (cos_a * cos_b - cos_g) / (sin_a * sin_b)
    if abs(cosine) >= 1 - 1e-9:
        raise ReadError("no cell has the angles " + ", ".join(f"{angle:g}" for angle in parameters[3:]))
    sine = math.sqrt(1 - cosine**2)
    return np.array(
        [
            [a * sin_b, 0.0, a * cos_b],
            [-b * sin_a * cosine, b * sin_a * sine, b * cos_a],
            [0.0, 0.0, c],
        ]
    )
