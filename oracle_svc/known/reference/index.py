"""The index of known structures, made of the columns of a reference's table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from oracle_svc.known.novelty.amd_store import AmdStore
from oracle_svc.known.novelty.known_index import KnownIndex
from xenolith.crystal import Crystal

__all__ = ["BadReferenceError", "index_of_columns", "no_structures"]


class BadReferenceError(ValueError):
    """A reference that is missing or damaged; the message says what to do."""


def index_of_columns(
    column: Callable[[str], Any], *, amd: AmdStore, crystal: Callable[[int], Crystal] | None, file: Path
) -> KnownIndex:
    """Index of a table of structures, sorted by formula.

    Parameters
    ----------
    column
        Gives a column (an Arrow array) by name: `id`, `formula`, `elements`, `counts`.
    amd
        AMD vectors by row.
    crystal
        Gives the structure of a row, where structures are kept.
    file
        The table, for errors.

    Raises
    ------
    BadReferenceError
        The structures are not sorted by formula.
    """
    runs = pc.run_end_encode(column("formula"))
    formulas = np.array(runs.values.to_pylist(), dtype=str)
    starts = np.concatenate([[0], runs.run_ends.to_numpy()]).astype(np.int64)
    if not (formulas[:-1] < formulas[1:]).all():
        raise BadReferenceError(f"{file} is not sorted by formula: build it again")
    first = pa.array(starts[:-1])
    elements, counts = (column(name).take(first) for name in ("elements", "counts"))
    return KnownIndex(
        ids=_Column(column("id")),
        formulas=formulas,
        starts=starts,
        amd=amd,
        elements=elements.flatten().to_numpy(),
        counts=counts.flatten().to_numpy().astype(np.int64),
        offsets=np.concatenate([[0], np.cumsum(elements.value_lengths().to_numpy())]),
        crystal=crystal,
    )


def no_structures() -> KnownIndex:
    """Index of a reference that is a hull alone."""
    nothing = np.zeros(0, dtype=np.int64)
    origin = np.zeros(1, dtype=np.int64)
    return KnownIndex(
        ids=(),
        formulas=nothing.astype(str),
        starts=origin,
        amd=np.zeros((0, 0)),
        elements=nothing,
        counts=nothing,
        offsets=origin,
    )


class _Column(Sequence[str]):
    """A column of strings, which stay where Arrow keeps them."""

    def __init__(self, column: Any) -> None:
        self._column = column

    def __len__(self) -> int:
        return len(self._column)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return list(self._column[index].to_pylist())
        return str(self._column[index].as_py())
