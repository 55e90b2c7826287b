"""Parts of a reference as parquet tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from oracle_svc.known.hull import HullEntry

__all__ = ["composition_columns", "embedding_column", "fixed_lists", "hull_rows", "write_table"]

_EMBEDDING_LEVELS = 1024


def embedding_column(embeddings: NDArray[np.float32]) -> tuple[pa.Array, dict[str, Any]]:
    """Return (M, D) embeddings as whole steps, and the scale that turns them back."""
    low, high = embeddings.min(axis=0), embeddings.max(axis=0)
    span = np.where(high > low, high - low, 1)
    levels = np.round((embeddings - low) / span * (_EMBEDDING_LEVELS - 1)).astype(np.int32)
    scale = {
        "levels": _EMBEDDING_LEVELS,
        "minimum": [float(x) for x in low],
        "maximum": [float(x) for x in high],
    }
    return fixed_lists(levels), scale


def hull_rows(vertices: Sequence[HullEntry]) -> pa.Table:
    """Return a hull's vertices as a table, in an order of their own."""
    ordered = sorted(vertices, key=lambda entry: (entry.composition, entry.id))
    return pa.table(
        {
            "id": pa.array([entry.id for entry in ordered]),
            **composition_columns([entry.composition for entry in ordered]),
            "energy_per_atom": pa.array([entry.energy_per_atom for entry in ordered], pa.float64()),
        }
    )


def composition_columns(compositions: Sequence[tuple[tuple[int, int], ...]]) -> dict[str, pa.Array]:
    """Return the columns of compositions, each pairs of atomic number and count."""
    return {
        "elements": pa.array([[z for z, _ in c] for c in compositions], pa.list_(pa.uint8())),
        "counts": pa.array([[n for _, n in c] for c in compositions], pa.list_(pa.uint16())),
    }


def fixed_lists(matrix: NDArray[np.generic]) -> pa.Array:
    """Return (M, n) numbers as one column of lists."""
    return pa.FixedSizeListArray.from_arrays(pa.array(matrix.ravel()), matrix.shape[1])


def write_table(path: Path, rows: pa.Table, numeric: Sequence[str], *, level: int = 19) -> None:
    """Write with the bytes of the numeric columns split, which compresses them to two thirds."""
    encoding = {f"{name}.list.element": "BYTE_STREAM_SPLIT" for name in numeric}
    pq.write_table(
        rows,
        path,
        compression="zstd",
        compression_level=level,
        use_dictionary=False,
        column_encoding=encoding or None,
    )
