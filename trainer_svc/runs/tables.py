"""Structures with what was measured of them, as a table: one row each, readable by pandas and polars."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from trainer_svc.rewards.measurements import Measurements
from xenolith.crystal import Crystal, CrystalBatch
from xenolith.files import write_bytes

__all__ = ["crystals_of", "read_table", "structure_table", "write_table"]


def structure_table(
    crystals: CrystalBatch, measured: Measurements, extra: Mapping[str, Sequence[Any]] | None = None
) -> pa.Table:
    """Put B structures in a table.

    Parameters
    ----------
    crystals
        The structures.
    measured
        Their measurements; each field becomes a column, absent values become null.
    extra
        Further columns of length B, put first.

    Returns
    -------
    pyarrow.Table
        Further columns, ``formula``, ``num_atoms``, ``lattice`` (9 numbers, Angstrom, row vectors),
        ``numbers``, ``frac_coords`` (3 N numbers), ``status``, ``nearest_reference`` and the fields.
    """
    columns: dict[str, Any] = {name: pa.array(list(values)) for name, values in (extra or {}).items()}
    members = list(crystals)
    columns["formula"] = [crystal.formula for crystal in members]
    columns["num_atoms"] = crystals.num_atoms
    columns["lattice"] = [crystal.lattice.ravel() for crystal in members]
    columns["numbers"] = [crystal.numbers for crystal in members]
    columns["frac_coords"] = [crystal.frac_coords.ravel() for crystal in members]
    columns["status"] = list(measured.status)
    columns["nearest_reference"] = list(measured.nearest_reference)
    for name, values in measured.values.items():
        columns[name] = pa.array(values, mask=np.isnan(values))
    return pa.table(columns)


def crystals_of(table: pa.Table) -> list[Crystal]:
    """Rebuild the crystals of a table's rows."""
    columns = (table.column(name).to_pylist() for name in ("lattice", "numbers", "frac_coords"))
    return [
        Crystal(
            lattice=np.reshape(lattice, (3, 3)),
            numbers=np.asarray(numbers, dtype=np.int32),
            frac_coords=np.reshape(frac, (-1, 3)),
        )
        for lattice, numbers, frac in zip(*columns, strict=True)
    ]


def write_table(path: Path, table: pa.Table) -> None:
    """Replace a parquet file at once."""
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    write_bytes(path, buffer.getvalue())


def read_table(path: Path) -> pa.Table:
    """Read a parquet file."""
    return pq.read_table(path)
