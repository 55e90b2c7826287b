"""Energies of many structures, computed in shards so that a stopped run goes on where it was."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from oracle_svc.calculators.base import Calculator, Evaluation
from oracle_svc.known.reference.structures import StructureTable

__all__ = ["SHARD_SIZE", "Progress", "compute_energies", "missing_rows"]

SHARD_SIZE = 1000

Progress = Callable[[int, int], None]


def compute_energies(
    table: StructureTable, calculator: Calculator, folder: Path, *, progress: Progress | None = None
) -> pa.Table:
    """Evaluate every structure of `table`, one parquet file per thousand; return all rows.

    Files that exist already are kept if they belong to the same structures and calculator settings.

    Parameters
    ----------
    folder
        Where the shards lie; created if missing.
    progress
        Called with (structures done, structures in all) after each shard.

    Raises
    ------
    ValueError
        If a shard in `folder` belongs to other structures or another calculator.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shards = []
    for begin in range(0, len(table), SHARD_SIZE):
        rows = np.arange(begin, min(begin + SHARD_SIZE, len(table)))
        path = folder / _shard(begin)
        ids = [table.ids[row] for row in rows]
        if not path.exists():
            evaluation = calculator.evaluate(table.batch.take(rows))
            _write(path, _rows(ids, evaluation, calculator.settings_digest))
        shards.append(_read(path, ids, calculator.settings_digest))
        if progress is not None:
            progress(int(rows[-1]) + 1, len(table))
    return pa.concat_tables(shards)


def missing_rows(size: int, folder: Path) -> list[tuple[int, int]]:
    """Return the parts of a table of so many structures that `folder` does not hold yet, as ranges."""
    begins = range(0, size, SHARD_SIZE)
    return [(b, min(b + SHARD_SIZE, size)) for b in begins if not (folder / _shard(b)).exists()]


def _shard(begin: int) -> str:
    return f"{begin // SHARD_SIZE:05d}.parquet"


def _rows(ids: list[str], evaluation: Evaluation, digest: str) -> pa.Table:
    columns: dict[str, pa.Array] = {
        "id": pa.array(ids),
        "energy_per_atom": pa.array(evaluation.energy_per_atom),
        "status": pa.array([status.name for status in evaluation.statuses]),
        "message": pa.array(evaluation.messages),
    }
    if evaluation.embeddings is not None:
        width = evaluation.embeddings.shape[1]
        columns["embedding"] = pa.FixedSizeListArray.from_arrays(
            pa.array(evaluation.embeddings.ravel(), pa.float32()), width
        )
    return pa.table(columns).replace_schema_metadata({"calculator": digest})


def _write(path: Path, rows: pa.Table) -> None:
    partial = path.with_suffix(".partial")
    pq.write_table(rows, partial, compression="zstd")
    partial.replace(path)


def _read(path: Path, ids: list[str], digest: str) -> pa.Table:
    rows = pq.read_table(path)
    found = (rows.schema.metadata or {}).get(b"calculator", b"").decode()
    if found != digest:
        raise ValueError(
            f"{path} was computed with other calculator settings ({found}): remove it or its folder"
        )
    if rows["id"].to_pylist() != ids:
        raise ValueError(f"{path} belongs to other structures: remove it or its folder")
    return rows
