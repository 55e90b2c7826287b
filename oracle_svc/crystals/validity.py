"""The validity gate: cheap checks that every structure passes before anything is computed from it.

The limits lie far outside known solids (the Materials Project spans 4.4 to 3734 A^3 per atom,
0.02 to 26.6 g/cm^3 and cell conditions up to 24): what fails is no crystal, not a bad one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from oracle_svc.crystals.elements import MASSES, element_name
from oracle_svc.crystals.neighbors import SearchTooLargeError, find_neighbors
from oracle_svc.status import Status
from xenolith.crystal import CrystalBatch

__all__ = ["ValidityLimits", "ValidityReport", "check_validity"]

_GRAMS_PER_CM3 = 1.66053906660  # of one dalton per cubic Angstrom
_LARGEST_COORDINATE = 1e6  # beyond it, what is left of a fraction after wrapping is rounding
# No arrangement of spheres is denser than fcc, so some pair is always within this times (V/N)^(1/3).
_CLOSEST_PACKING = 2 ** (1 / 6) * (1 + 1e-6)


@dataclass(frozen=True, kw_only=True)
class ValidityLimits:
    """Limits of the gate."""

    min_distance: float = 0.5
    """Smallest distance between two atoms, periodic images included, Angstrom."""
    min_density: float = 0.01
    """Smallest mass density, g/cm^3."""
    max_density: float = 30.0
    """Largest mass density, g/cm^3."""
    min_volume_per_atom: float = 1.0
    """Smallest volume per atom, Angstrom^3."""
    max_volume_per_atom: float = 5000.0
    """Largest volume per atom, Angstrom^3."""
    max_cell_condition: float = 1000.0
    """Largest condition number of the cell matrix: how thin or skew a cell may be."""
    max_atoms: int = 512
    """Most atoms in a structure."""


@dataclass(frozen=True, kw_only=True)
class ValidityReport:
    """Outcome of the gate, one entry per structure."""

    statuses: tuple[Status, ...]
    """(B,) OK or the first check that failed."""
    messages: tuple[str, ...]
    """(B,) empty where OK; otherwise the measured value and the limit."""
    min_distance: NDArray[np.float64]
    """(B,) float64, Angstrom; NaN where the structure failed before it was measured."""
    density: NDArray[np.float64]
    """(B,) float64, g/cm^3; NaN likewise."""
    volume_per_atom: NDArray[np.float64]
    """(B,) float64, Angstrom^3; NaN likewise."""

    @property
    def valid(self) -> NDArray[np.bool_]:
        """(B,) bool."""
        return np.array([status is Status.OK for status in self.statuses], dtype=bool)


def check_validity(batch: CrystalBatch, limits: ValidityLimits, elements: frozenset[int]) -> ValidityReport:
    """Check every structure; none raises, and the work for each is bounded.

    Checks in order: atoms there, not too many; finite numbers; elements covered; cell; distances; density.

    Parameters
    ----------
    elements
        Atomic numbers that count as covered.
    """
    measures = [_Measure(batch, index, limits, elements) for index in range(len(batch))]
    outcomes = [measure.run() for measure in measures]
    return ValidityReport(
        statuses=tuple(status for status, _ in outcomes),
        messages=tuple(message for _, message in outcomes),
        min_distance=np.array([m.min_distance for m in measures], dtype=np.float64),
        density=np.array([m.density for m in measures], dtype=np.float64),
        volume_per_atom=np.array([m.volume_per_atom for m in measures], dtype=np.float64),
    )


class _Measure:
    """One structure on its way through the gate."""

    def __init__(
        self, batch: CrystalBatch, index: int, limits: ValidityLimits, elements: frozenset[int]
    ) -> None:
        atoms = slice(batch.offsets[index], batch.offsets[index + 1])
        self._lattice = batch.lattices[index]
        self._numbers = batch.numbers[atoms]
        self._coords = batch.frac_coords[atoms]
        self._limits = limits
        self._elements = elements
        self.min_distance = self.density = self.volume_per_atom = float("nan")

    def run(self) -> tuple[Status, str]:
        for check in (self._size, self._finite, self._covered, self._cell, self._distance, self._weight):
            problem = check()
            if problem is not None:
                return problem
        return Status.OK, ""

    def _size(self) -> tuple[Status, str] | None:
        count, most = len(self._numbers), self._limits.max_atoms
        if count == 0:
            return Status.MALFORMED, "it has no atoms"
        if count > most:
            return Status.TOO_LARGE, f"{count} atoms are more than {most}"
        return None

    def _finite(self) -> tuple[Status, str] | None:
        if not np.isfinite(self._lattice).all():
            return Status.NONFINITE, "its cell holds NaN or infinity"
        if not np.isfinite(self._coords).all():
            return Status.NONFINITE, "its coordinates hold NaN or infinity"
        largest = float(np.abs(self._coords).max())
        if largest > _LARGEST_COORDINATE:
            return (
                Status.NONFINITE,
                f"a fractional coordinate is {largest:.3g}, beyond {_LARGEST_COORDINATE:.0g}",
            )
        return None

    def _covered(self) -> tuple[Status, str] | None:
        unknown = sorted({int(z) for z in self._numbers} - self._elements)
        if unknown:
            return Status.UNSUPPORTED_ELEMENT, f"not covered: {', '.join(map(element_name, unknown))}"
        return None

    def _cell(self) -> tuple[Status, str] | None:
        limits = self._limits
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            volume = abs(float(np.linalg.det(self._lattice)))
            singular = np.linalg.svd(self._lattice, compute_uv=False)
            condition = float(singular[0] / singular[-1])
        if not np.isfinite(volume):
            return Status.BAD_CELL, "the volume of its cell is beyond numbers"
        if not condition <= limits.max_cell_condition:
            return Status.BAD_CELL, (
                f"its cell is too flat or skew: condition number {condition:.3g} is above "
                f"{limits.max_cell_condition:g}"
            )
        self.volume_per_atom = volume / len(self._numbers)
        low, high = limits.min_volume_per_atom, limits.max_volume_per_atom
        if not low <= self.volume_per_atom <= high:
            side = f"below {low:g}" if self.volume_per_atom < low else f"above {high:g}"
            return Status.BAD_CELL, f"volume per atom {self.volume_per_atom:.3g} A^3 is {side} A^3"
        return None

    def _distance(self) -> tuple[Status, str] | None:
        radius = max(_CLOSEST_PACKING * self.volume_per_atom ** (1 / 3), self._limits.min_distance)
        try:
            found = find_neighbors(self._lattice, self._coords, radius)
        except SearchTooLargeError as error:
            return Status.BAD_CELL, str(error)
        self.min_distance = float(found.distance.min(initial=radius))
        if self.min_distance < self._limits.min_distance:
            return Status.TOO_CLOSE, (
                f"minimum distance {self.min_distance:.2f} A is below {self._limits.min_distance:g} A"
            )
        return None

    def _weight(self) -> tuple[Status, str] | None:
        mass = float(MASSES[self._numbers].sum())
        self.density = mass * _GRAMS_PER_CM3 / (self.volume_per_atom * len(self._numbers))
        low, high = self._limits.min_density, self._limits.max_density
        if not low <= self.density <= high:
            side = f"below {low:g}" if self.density < low else f"above {high:g}"
            return Status.BAD_DENSITY, f"density {self.density:.3g} g/cm^3 is {side} g/cm^3"
        return None
