"""What the oracle measured on a batch of structures, as columns ready for reward arithmetic."""

from collections.abc import Sequence
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
    duplicate_of: NDArray[np.int64] | None = None
    """(B,) index of the first equal structure of the batch, -1 for a structure equal to none before it."""

    def __post_init__(self) -> None:
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

    @classmethod
    def concat(cls, parts: Sequence["Measurements"]) -> "Measurements":
        """Join batches; duplicate indices are shifted with their batch."""
        names = sorted({name for part in parts for name in part.values})
        starts = np.cumsum([0, *(len(part) for part in parts)])[:-1]
        duplicates = [
            np.where(part.duplicate_of >= 0, part.duplicate_of + start, -1)
            if part.duplicate_of is not None
            else np.full(len(part), -1)
            for part, start in zip(parts, starts, strict=True)
        ]
        return cls(
            status=tuple(status for part in parts for status in part.status),
            values={name: np.concatenate([part.column(name) for part in parts]) for name in names},
            duplicate_of=np.concatenate(duplicates) if parts else None,
        )
