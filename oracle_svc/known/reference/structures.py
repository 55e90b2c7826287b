"""Reading tables of structures: one row per crystal, cell parameters and flat coordinates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from xenolith.crystal import CrystalBatch

__all__ = ["StructureTable", "lattices_from_parameters", "read_structures"]


@dataclass(frozen=True, kw_only=True)
class StructureTable:
    """Structures with their ids."""

    ids: tuple[str, ...]
    """(B,) unique in the table."""
    batch: CrystalBatch

    def __len__(self) -> int:
        return len(self.ids)


def read_structures(path: Path) -> StructureTable:
    """Read a parquet file with `material_id`, `lattice`, `numbers` and `frac`.

    `lattice` holds a, b, c (Angstrom), alpha, beta, gamma (degrees); `frac` holds N x 3 fractional
    coordinates, flattened.

    Raises
    ------
    ValueError
        If the columns are missing or do not fit together.
    """
    try:
        table = pq.read_table(path, columns=["material_id", "lattice", "numbers", "frac"])
    except (pa.ArrowInvalid, KeyError) as error:
        raise ValueError(f"{path} is not a table of structures: {error}") from error
    num_atoms = np.diff(_offsets(table["numbers"])).astype(np.int32)
    coordinates = np.diff(_offsets(table["frac"]))
    if not np.array_equal(coordinates, 3 * num_atoms):
        row = int(np.flatnonzero(coordinates != 3 * num_atoms)[0])
        raise ValueError(f"{path}, row {row}: {coordinates[row]} coordinates for {num_atoms[row]} atoms")
    batch = CrystalBatch(
        num_atoms=num_atoms,
        lattices=lattices_from_parameters(_flat(table["lattice"]).reshape(-1, 6)),
        numbers=_flat(table["numbers"]).astype(np.int32),
        frac_coords=_flat(table["frac"]).reshape(-1, 3),
    )
    return StructureTable(ids=tuple(table["material_id"].to_pylist()), batch=batch)


def lattices_from_parameters(
    parameters: NDArray[np.float64] | Sequence[Sequence[float]],
) -> NDArray[np.float64]:
    """Return (B, 3, 3) row vectors from (B, 6) a, b, c in Angstrom and angles in degrees.

    c lies along z and a in the xz plane, as in `pymatgen.core.Lattice.from_parameters`.
    """
    parameters = np.asarray(parameters, dtype=np.float64)
    a, b, c = parameters[:, :3].T
    cosine, sine = np.cos(np.radians(parameters[:, 3:])), np.sin(np.radians(parameters[:, 3:]))
    (ca, cb, cg), (sa, sb, _) = cosine.T, sine.T
    cos_reciprocal = np.clip((ca * cb - cg) / (sa * sb), -1, 1)
    sin_reciprocal = np.sqrt(1 - cos_reciprocal**2)
    zero = np.zeros_like(a)
    rows = [
        [a * sb, zero, a * cb],
        [-b * sa * cos_reciprocal, b * sa * sin_reciprocal, b * ca],
        [zero, zero, c],
    ]
    return np.array(rows).transpose(2, 0, 1)


def _offsets(column: pa.ChunkedArray) -> NDArray[np.int64]:
    lengths = [len(chunk) for chunk in column.chunks]
    sizes = [np.diff(chunk.offsets.to_numpy()) for chunk in column.chunks if len(chunk)]
    return (
        np.concatenate([[0], np.cumsum(np.concatenate(sizes))])
        if sum(lengths)
        else np.zeros(1, dtype=np.int64)
    )


def _flat(column: pa.ChunkedArray) -> NDArray[Any]:
    return np.concatenate([chunk.flatten().to_numpy() for chunk in column.chunks] or [np.zeros(0)])
