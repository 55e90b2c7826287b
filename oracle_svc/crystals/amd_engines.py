"""Who computes AMD vectors: Xenolith's own code, or the `average-minimum-distance` package on request.

The package's licence (CC BY-NC-SA 4.0) excludes commercial use, so it is never the default and never
installed unasked (`pip install 'xenolith[amd]'`). Its numbers agree with ours to rounding.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from oracle_svc.crystals.amd import amd_of
from oracle_svc.crystals.neighbors import reduce_cell
from xenolith.errors import InvalidArgumentError

__all__ = ["NATIVE", "AmdEngine", "AmdEngineName", "open_amd_engine"]

AmdEngineName = Literal["native", "package"]


@dataclass(frozen=True, kw_only=True)
class AmdEngine:
    """A way to compute an AMD vector."""

    name: AmdEngineName
    """Part of the settings digest: vectors of two engines never share a cache entry."""
    vector: Callable[[NDArray[np.float64], NDArray[np.float64], int], NDArray[np.float64]]
    """(3, 3) lattice in Angstrom, (N, 3) fractional coordinates and k to the vector (k,) in Angstrom."""


NATIVE = AmdEngine(name="native", vector=amd_of)


def open_amd_engine(name: AmdEngineName) -> AmdEngine:
    """Return an engine by name.

    Raises
    ------
    InvalidArgumentError
        The package was asked for and is not installed.
    """
    if name == "native":
        return NATIVE
    if importlib.util.find_spec("amd") is None:
        raise InvalidArgumentError(
            "amd_engine is 'package', which is not installed: pip install 'xenolith[amd]' (its licence, "
            "CC BY-NC-SA 4.0, excludes commercial use), or take amd_engine 'native'"
        )
    return AmdEngine(name="package", vector=_by_package)


def _by_package(
    lattice: NDArray[np.float64], frac_coords: NDArray[np.float64], k: int
) -> NDArray[np.float64]:
    import amd

    # In very skewed cells the package ends its search too early; short vectors of the same lattice do not.
    cell = reduce_cell(lattice)
    motif = np.mod(frac_coords @ lattice @ np.linalg.inv(cell), 1.0) @ cell
    return np.asarray(amd.AMD(amd.PeriodicSet(motif, cell), k), dtype=np.float64)
