"""A table of crystals in memory, as flat arrays, from a parquet file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import spglib
import torch

from generator_svc.model.autoencoder import CrystalTensors
from generator_svc.model.ragged import Ragged
from xenolith.errors import InvalidArgumentError


class DataError(InvalidArgumentError, ValueError):
    """A training file that does not fit; the message names the column and the fix."""


@dataclass(frozen=True, kw_only=True)
class CrystalTable:
    """Crystals as columns, on Niggli-reduced right-handed cells."""

    ids: np.ndarray
    """(S,) identifiers."""
    num_atoms: np.ndarray
    """(S,) int64."""
    lattices: np.ndarray
    """(S, 3, 3) float32 row vectors, Angstrom."""
    numbers: np.ndarray
    """(T,) int64 atomic numbers."""
    frac_coords: np.ndarray
    """(T, 3) float32 in [0, 1)."""
    scalars: dict[str, np.ndarray] = field(default_factory=dict)
    """(S,) float32 of each labelled column read, in the file's unit; NaN where a crystal has no label."""

    def __len__(self) -> int:
        return len(self.num_atoms)

    @property
    def offsets(self) -> np.ndarray:
        """(S + 1,) start of each crystal's atoms."""
        return np.concatenate([[0], np.cumsum(self.num_atoms)])

    def take(self, rows: np.ndarray) -> CrystalTable:
        """The given crystals, in the given order."""
        atoms = self._atoms(rows)
        return CrystalTable(
            ids=self.ids[rows],
            num_atoms=self.num_atoms[rows],
            lattices=self.lattices[rows],
            numbers=self.numbers[atoms],
            frac_coords=self.frac_coords[atoms],
            scalars={name: values[rows] for name, values in self.scalars.items()},
        )

    def tensors(self, device: torch.device | str = "cpu") -> CrystalTensors:
        """The whole table as one packed batch."""
        return CrystalTensors(
            ragged=Ragged(torch.from_numpy(self.num_atoms).to(device)),
            numbers=torch.from_numpy(self.numbers).to(device),
            frac_coords=torch.from_numpy(self.frac_coords).to(device),
            lattice=torch.from_numpy(self.lattices).to(device),
        )

    def _atoms(self, rows: np.ndarray) -> np.ndarray:
        counts = self.num_atoms[rows]
        starts = self.offsets[:-1][rows]
        shift = np.repeat(starts - np.concatenate([[0], np.cumsum(counts)[:-1]]), counts)
        return np.arange(counts.sum()) + shift


def read_parquet(
    path: Path,
    *,
    split: str | None = None,
    max_atoms: int = 20,
    max_atomic_number: int = 100,
    scalars: Sequence[str] = (),
) -> CrystalTable:
    """Read crystals from a parquet file with columns lattice, numbers and frac.

    Parameters
    ----------
    path : file with `lattice` (a, b, c in Angstrom, alpha, beta, gamma in degrees), `numbers` (atomic
        numbers) and `frac` (flattened fractional coordinates); optionally `material_id` and `split`.
    split : keep only rows whose `split` equals this.
    max_atoms, max_atomic_number : larger crystals and heavier elements are left out.
    scalars : further columns of numbers to keep; empty cells become NaN.

    Raises
    ------
    DataError : a column is missing, holds no numbers, or its lengths do not agree.
    """
    table = pq.read_table(path)
    missing = {"lattice", "numbers", "frac", *scalars} - set(table.column_names)
    if missing:
        raise DataError(f"{path}: column {min(missing)!r} is missing; it has {table.column_names}")
    rows = table.to_pylist()
    if split is not None:
        if "split" not in table.column_names:
            raise DataError(f"{path}: split {split!r} was asked for and there is no column 'split'")
        rows = [row for row in rows if row["split"] == split]
    rows = [
        row for row in rows if len(row["numbers"]) <= max_atoms and max(row["numbers"]) <= max_atomic_number
    ]
    if not rows:
        raise DataError(
            f"{path}: no crystal is left after selecting split={split!r} and max_atoms={max_atoms}"
        )
    cells, coords = zip(*(_niggli(index, row) for index, row in enumerate(rows)), strict=True)
    return CrystalTable(
        ids=np.array([str(row.get("material_id", index)) for index, row in enumerate(rows)]),
        num_atoms=np.array([len(row["numbers"]) for row in rows], dtype=np.int64),
        lattices=np.stack(cells).astype(np.float32),
        numbers=np.concatenate([row["numbers"] for row in rows]).astype(np.int64),
        frac_coords=np.concatenate(coords).astype(np.float32),
        scalars={name: _labels(path, name, [row[name] for row in rows]) for name in scalars},
    )


def _labels(path: Path, name: str, values: list[Any]) -> np.ndarray:
    try:
        labels = np.array([np.nan if value is None else float(value) for value in values], dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise DataError(f"{path}: column {name!r} must hold numbers: {error}") from error
    labels[~np.isfinite(labels)] = np.nan
    return labels


def _niggli(index: int, row: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    cell = cell_from_parameters(row["lattice"])
    frac = np.asarray(row["frac"], dtype=float)
    if frac.size != 3 * len(row["numbers"]):
        raise DataError(f"row {index}: frac has {frac.size} numbers, numbers has {len(row['numbers'])} atoms")
    return niggli_cell(cell, frac.reshape(-1, 3))


def niggli_cell(cell: np.ndarray, frac: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same crystal on its right-handed Niggli cell.

    Parameters
    ----------
    cell : (3, 3) row vectors, Angstrom, not singular.
    frac : (N, 3) fractional coordinates.

    Returns
    -------
    The reduced cell (3, 3) and coordinates (N, 3) in [0, 1), atoms in the same order. A cell that the
    reduction does not converge on comes back as it was.
    """
    reduced = spglib.niggli_reduce(cell, eps=1e-5)
    if reduced is None:
        reduced = cell
    if np.linalg.det(reduced) < 0:
        reduced = -reduced
    return reduced, np.remainder(frac @ cell @ np.linalg.inv(reduced), 1.0)


def cell_from_parameters(parameters: list[float]) -> np.ndarray:
    """Row vectors (3, 3), Angstrom, of lengths (Angstrom) and angles (degrees); right-handed, c along z."""
    a, b, c, alpha, beta, gamma = parameters
    alpha, beta, gamma = np.radians([alpha, beta, gamma])
    cos_g = (np.cos(alpha) * np.cos(beta) - np.cos(gamma)) / (np.sin(alpha) * np.sin(beta))
    gamma_star = np.arccos(np.clip(cos_g, -1, 1))
    return np.array(
        [
            [a * np.sin(beta), 0.0, a * np.cos(beta)],
            [
                -b * np.sin(alpha) * np.cos(gamma_star),
                b * np.sin(alpha) * np.sin(gamma_star),
                b * np.cos(alpha),
            ],
            [0.0, 0.0, c],
        ]
    )
