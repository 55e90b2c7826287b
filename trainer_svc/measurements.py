"""What the oracle measured on a batch of structures, as columns ready for reward arithmetic."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

__all__ = ["FloatColumn", "Measurements"]

FloatColumn = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Measurements:
    """Columns over a batch of B structures; absent is NaN, never 0."""

    status: tuple[str, ...]
    """(B,) overall status names, ``OK`` when every requested component succeeded."""
    values: dict[str, FloatColumn] = field(default_factory=dict)
    """Field name -> (B,) float64: energies in eV/atom, distances in Angstrom, booleans as 0 and 1."""
    nearest_reference: tuple[str, ...] = ()
    """(B,) id of the nearest known crystal, empty where there is none."""
    duplicate_of: NDArray[np.int64] | None = None
    """(B,) index of the first equal structure of the batch, -1 for a structure equal to none before it."""

    def __post_init__(self) -> None:
        if not self.nearest_reference:
            object.__setattr__(self, "nearest_reference", ("",) * len(self.status))
        for name, column in self.values.items():
            if column.shape != (len(self.status),):
                raise ValueError(f"field {name!r} has shape {column.shape}, expected ({len(self.status)},)")

    def __len__(self) -> int:
        return len(self.status)

    def column(self, name: str) -> FloatColumn:
        """Give one field, all NaN when the oracle did not report it."""
        return self.values.get(name, np.full(len(self), np.nan))

    @property
    def ok(self) -> NDArray[np.bool_]:
        """(B,) whether each structure was measured completely."""
        return np.array([status == "OK" for status in self.status], dtype=bool)

    def take(self, indices: NDArray[np.int64]) -> "Measurements":
        """Give the structures at `indices`; which are duplicates of which is not carried over."""
        return Measurements(
            status=tuple(self.status[index] for index in indices),
            values={name: column[indices] for name, column in self.values.items()},
            nearest_reference=tuple(self.nearest_reference[index] for index in indices),
        )
