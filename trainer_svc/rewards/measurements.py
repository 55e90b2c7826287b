"""Measurements of the oracle on a batch of structures, as columns ready for reward arithmetic."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from xenolith.contract.columns import NUMBERS, RELAXED_NUMBERS
from xenolith.contract.names import status_name
from xenolith.v1 import oracle_pb2

__all__ = ["EMBEDDING_DIVERSITY", "STATUS_PREFIX", "FloatColumn", "Measurements", "measurements_from"]

FloatColumn = NDArray[np.float64]

STATUS_PREFIX = "STRUCTURE_STATUS_"

EMBEDDING_DIVERSITY = "embedding_diversity"
"""Column of what each sample adds to the spread of the generator's embeddings; no oracle measures it."""


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

    @classmethod
    def concat(cls, parts: "Sequence[Measurements]") -> "Measurements":
        """Append batches to one another; what is a duplicate of what stays inside each."""
        names = dict.fromkeys(name for part in parts for name in part.values)
        starts = np.cumsum([0, *(len(part) for part in parts)])
        first = [
            np.where(part.duplicate_of >= 0, part.duplicate_of + start, -1)
            if part.duplicate_of is not None
            else np.full(len(part), -1)
            for part, start in zip(parts, starts, strict=False)
        ]
        return cls(
            status=tuple(status for part in parts for status in part.status),
            values={name: np.concatenate([part.column(name) for part in parts]) for name in names},
            nearest_reference=tuple(id_ for part in parts for id_ in part.nearest_reference),
            duplicate_of=np.concatenate(first).astype(np.int64),
        )

    def with_column(self, name: str, values: FloatColumn) -> "Measurements":
        """Give the same with a further column."""
        return replace(self, values={**self.values, name: values})

    def take(self, indices: NDArray[np.int64]) -> "Measurements":
        """Give the structures at `indices`; which are duplicates of which is not carried over."""
        return Measurements(
            status=tuple(self.status[index] for index in indices),
            values={name: column[indices] for name, column in self.values.items()},
            nearest_reference=tuple(self.nearest_reference[index] for index in indices),
        )


def measurements_from(scores: Sequence[oracle_pb2.StructureScore]) -> Measurements:
    """Turn the oracle's answer into columns.

    Parameters
    ----------
    scores
        B results, in the order of the request.

    Returns
    -------
    Measurements
        One column for each scalar that any structure has, ``properties.<name>`` and
        ``relaxation.<name>`` included.
    """
    columns: dict[str, FloatColumn] = {}

    def put(name: str, index: int, value: float) -> None:
        columns.setdefault(name, np.full(len(scores), np.nan))[index] = value

    for index, score in enumerate(scores):
        for name in NUMBERS:
            if score.HasField(name):
                put(name, index, float(getattr(score, name)))
        for name, value in score.properties.items():
            put(f"properties.{name}", index, value)
        for name in RELAXED_NUMBERS if score.HasField("relaxation") else ():
            if score.relaxation.HasField(name):
                put(f"relaxation.{name}", index, float(getattr(score.relaxation, name)))
    return Measurements(
        status=tuple(status_name(score.status) for score in scores),
        values=columns,
        nearest_reference=tuple(score.nearest_reference for score in scores),
        duplicate_of=np.array(
            [score.duplicate_of if score.HasField("duplicate_of") else -1 for score in scores], dtype=np.int64
        ),
    )
