"""MP-20: 45,229 crystals of the Materials Project with at most 20 atoms, in their official split.

Published with CDVAE (arXiv 2110.06197) at https://github.com/txie-93/cdvae, ``data/mp_20``; data of the
Materials Project, CC BY 4.0.
"""

import csv
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xenolith.convert.cif_listed import read_listed
from xenolith.datasets.download import download, read_json
from xenolith.errors import DataLossError
from xenolith.formula import reduced_formula
from xenolith.optional import require

__all__ = ["SPLITS", "Mp20Source", "fetch_mp20", "rows_of"]

SPLITS = {"train": 27_136, "val": 9_047, "test": 9_046}
"""Crystals in each part of the official split."""
_NUMBERS = ("formation_energy_per_atom", "band_gap", "e_above_hull")


@dataclass(frozen=True, kw_only=True)
class Mp20Source:
    """Where the files are, and where their ids are listed."""

    listing: str = "https://api.github.com/repos/txie-93/cdvae/contents/data/mp_20"
    """Listing with name, ``sha`` (git's id) and ``size`` of each file, as GitHub's API gives it."""
    files: str = "https://raw.githubusercontent.com/txie-93/cdvae/main/data/mp_20"
    """Address of the folder with the files."""


def fetch_mp20(
    folder: Path,
    *,
    source: Mp20Source | None = None,
    splits: dict[str, int] | None = None,
    on_progress: Callable[[str, int, int], None] = lambda _task, _done, _total: None,
) -> Path:
    """Download MP-20 and write it as one parquet file; both appear whole or not at all.

    Parameters
    ----------
    folder
        Where ``mp20.parquet`` and the downloaded ``mp_20/*.csv`` go.
    source
        Another place with the same files.
    splits
        Names of the files with their numbers of crystals; default: the official ones.
    on_progress
        Called with the task, how much is done and how much there is.

    Returns
    -------
    Path
        The parquet file: ``material_id``, ``split``, ``formula``, ``natoms``, ``lattice`` (a, b, c in
        Angstrom, alpha, beta, gamma in degrees), ``numbers``, ``frac`` (natoms x 3, flattened),
        ``formation_energy_per_atom`` (eV/atom), ``band_gap`` (eV), ``e_above_hull`` (eV/atom).

    Raises
    ------
    UnavailableError
        If the source cannot be reached.
    DataLossError
        If a file is not what its source lists, or holds another number of crystals.
    """
    arrow: Any = require("pyarrow", "generator")
    parquet: Any = require("pyarrow.parquet", "generator")
    expected = splits or SPLITS
    files = _download(folder / "mp_20", source or Mp20Source(), expected, on_progress)
    rows: list[dict[str, Any]] = []
    for split, path in files.items():
        before = len(rows)
        for row in rows_of(path, split):
            rows.append(row)
            if len(rows) % 1000 == 0:
                on_progress("reading", len(rows), sum(expected.values()))
        if len(rows) - before != expected[split]:
            raise DataLossError(f"{path} holds {len(rows) - before} crystals, expected {expected[split]}")
    on_progress("reading", len(rows), len(rows))
    target, part = folder / "mp20.parquet", folder / ".mp20.parquet.part"
    parquet.write_table(arrow.Table.from_pylist(rows), part, compression="zstd")
    part.replace(target)
    return target


def rows_of(path: Path, split: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of one of CDVAE's CSV files."""
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    with path.open(newline="") as file:
        for line, row in enumerate(csv.DictReader(file), start=1):
            try:
                yield _row(row, split)
            except (KeyError, ValueError) as error:
                raise DataLossError(f"{path}, crystal {line}: {error!r}") from error


def _row(row: dict[str, str], split: str) -> dict[str, Any]:
    cell, numbers, frac = read_listed(row["cif"])
    return {
        "material_id": row["material_id"],
        "split": split,
        "formula": reduced_formula(numbers),
        "natoms": len(numbers),
        "lattice": cell,
        "numbers": numbers,
        "frac": frac,
        **{name: float(row[name]) if row.get(name) else None for name in _NUMBERS},
    }


def _download(
    folder: Path, source: Mp20Source, splits: dict[str, int], on_progress: Callable[[str, int, int], None]
) -> dict[str, Path]:
    listed = {entry["name"]: entry for entry in read_json(source.listing)}
    wanted = {split: f"{split}.csv" for split in splits}
    if missing := [name for name in wanted.values() if name not in listed]:
        raise DataLossError(f"{source.listing} lists no {', '.join(missing)}")
    total = sum(int(listed[name]["size"]) for name in wanted.values())
    done = 0

    def count(piece: int) -> None:
        nonlocal done
        done += piece
        on_progress("download", done, total)

    return {
        split: download(f"{source.files}/{name}", folder / name, listed[name]["sha"], count)
        for split, name in wanted.items()
    }
