"""How to relax."""

from __future__ import annotations

from dataclasses import dataclass

from oracle_svc.calculators.base import digest_of

__all__ = ["GPA", "RelaxSettings"]

GPA = 1.0 / 160.21766208
"""One GPa in eV/Angstrom^3."""

_METHOD = "fire-1"
"""Name of the algorithm with its constants: a new one makes earlier relaxations out of date."""


@dataclass(frozen=True, kw_only=True)
class RelaxSettings:
    """Goals of a relaxation, and when it is given up.

    Raises
    ------
    ValueError
        A value is out of range; names it.
    """

    max_steps: int = 500
    """Most moves, at least 1."""
    fmax: float = 0.05
    """Converged when no force is larger: on an atom, eV/Angstrom, and on the cell (a row of the stress times
    the volume per atom, eV)."""
    relax_cell: bool = True
    """Relax the cell too."""
    fix_symmetry: bool = False
    """Keep the space group that the structure has within `SYMMETRY_PRECISION`."""
    pressure_gpa: float = 0.0
    """External pressure, GPa."""
    min_volume_ratio: float = 0.3
    """Given up when the volume falls below this share of the first."""
    max_volume_ratio: float = 3.0
    """Given up when the volume grows beyond this multiple of the first."""
    max_rmsd: float = 5.0
    """Given up when the atoms' root mean square displacement exceeds this, Angstrom."""

    def __post_init__(self) -> None:
        if self.max_steps < 1:
            raise ValueError(f"max_steps: {self.max_steps} is below 1")
        for name in ("fmax", "min_volume_ratio", "max_volume_ratio", "max_rmsd"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ValueError(f"{name}: {getattr(self, name):g} is not a positive number")
        if not abs(self.pressure_gpa) < float("inf"):
            raise ValueError(f"pressure_gpa: {self.pressure_gpa:g} is not finite")

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of everything that changes a relaxation, the algorithm included."""
        return digest_of({"method": _METHOD, **vars(self)})
