"""Structures of a reference, kept as fixed-point columns.

They are read when a pair is first compared, and not before.

Cells are kept in steps of 1e-6 Angstrom, fractional coordinates in steps of 2^-24 of the cell (6e-7 Angstrom
in one of 10 Angstrom).
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from xenolith.crystal import Crystal, CrystalBatch

__all__ = ["CrystalColumns", "write_crystals"]

_CELL_STEP = 1e-6
_COORDINATE_STEPS = 2**24


class CrystalColumns:
    """Structures by row, read from a file of `write_crystals` at the first use."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def crystal(self, row: int) -> Crystal:
        """The structure of a row."""
        offsets, cells, numbers, coordinates = self._columns
        atoms = slice(int(offsets[row]), int(offsets[row + 1]))
        return Crystal(
            lattice=cells[row].reshape(3, 3) * _CELL_STEP,
            numbers=numbers[atoms].astype(np.int32),
            frac_coords=coordinates[atoms] / _COORDINATE_STEPS,
        )

    @cached_property
    def _columns(self) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.uint8], NDArray[np.int32]]:
        table = pq.read_table(self._path)
        counts = table["num_atoms"].to_numpy().astype(np.int64)
        cells = table["cell"].combine_chunks().flatten().to_numpy().reshape(-1, 9)
        numbers = table["numbers"].combine_chunks().flatten().to_numpy()
        coordinates = table["coordinates"].combine_chunks().flatten().to_numpy().reshape(-1, 3)
        return np.concatenate([[0], np.cumsum(counts)]), cells, numbers, coordinates


def write_crystals(path: Path, batch: CrystalBatch) -> None:
    """Write structures as fixed-point columns.

    Raises
    ------
    ValueError
        A cell is longer than the columns can hold.
    """
    cells = np.round(batch.lattices.reshape(-1, 9) / _CELL_STEP)
    if len(cells) and np.abs(cells).max() > np.iinfo(np.int32).max:
        raise ValueError("a cell is longer than 2147 Angstrom: leave it out")
    offsets = pa.array(batch.offsets.astype(np.int32))
    coordinates = np.round((batch.frac_coords % 1.0) * _COORDINATE_STEPS).astype(np.int64) % _COORDINATE_STEPS
    flat = pa.array(coordinates.astype(np.int32).ravel())
    table = pa.table(
        {
            "num_atoms": pa.array(batch.num_atoms.astype(np.int32)),
            "cell": pa.FixedSizeListArray.from_arrays(pa.array(cells.astype(np.int32).ravel()), 9),
            "numbers": pa.ListArray.from_arrays(offsets, pa.array(batch.numbers.astype(np.uint8))),
            "coordinates": pa.ListArray.from_arrays(pa.array((batch.offsets * 3).astype(np.int32)), flat),
        }
    )
    split = {"cell.list.element": "BYTE_STREAM_SPLIT", "coordinates.list.element": "BYTE_STREAM_SPLIT"}
    pq.write_table(table, path, compression="zstd", use_dictionary=False, column_encoding=split)
