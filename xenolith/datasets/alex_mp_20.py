"""Alex-MP-20: crystals of Alexandria and MP-20 with at most 20 atoms, within 0.1 eV/atom of the hull.

Published with MatterGen (arXiv 2312.03687, Nature 639, 624, 2025) at https://github.com/microsoft/mattergen,
``data-release/alex-mp/alex_mp_20.zip`` (Git LFS): ``alex_mp_20/train.csv`` and ``val.csv`` with CIF texts and
labels. Alexandria (J. Schmidt et al., Materials Cloud Archive 2022.126) and Materials Project, CC BY 4.0.
"""

import csv
import io
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xenolith.convert.cif_listed import read_one
from xenolith.datasets.download import download_lfs, sha256_of
from xenolith.errors import DataLossError, ReadError
from xenolith.formula import reduced_formula
from xenolith.optional import require

__all__ = ["AlexMp20Source", "fetch_alex_mp_20"]

_SPLITS = ("train", "val")
_TEXTS = {"material_id", "reduced_formula", "space_group", "chemical_system", "num_sites", "cif", ""}
_AT_ONCE = 20_000


@dataclass(frozen=True, kw_only=True)
class AlexMp20Source:
    """Where the archive is, and what it is known by."""

    lfs: str = "https://github.com/microsoft/mattergen.git/info/lfs"
    """Git LFS server of the repository."""
    sha256: str = "6688e652e45fac4ac8b016dbc4a3280afde9ba687bdacfd8c676775ed19b6228"
    """Digest of the archive, as the repository's pointer file gives it."""
    size: int = 186_506_244
    """Its bytes."""


def fetch_alex_mp_20(
    folder: Path,
    *,
    source: AlexMp20Source | None = None,
    archive: Path | None = None,
    on_progress: Callable[[str, int, int | None], None] = lambda _task, _done, _total: None,
) -> Path:
    """Download Alex-MP-20 and write it as one parquet file; both appear whole or not at all.

    Parameters
    ----------
    folder
        Where ``alex_mp_20.parquet`` and the downloaded archive go.
    source
        Another place with the same archive, or another edition of it.
    archive
        The archive, where it is on this machine already, as ``git lfs pull`` leaves it.
    on_progress
        Called with the task, how much is done and how much there is.

    Returns
    -------
    Path
        The parquet file: columns as `fetch_mp20` writes them, and the labels of the archive, which are
        ``energy_above_hull`` (eV/atom), ``dft_band_gap`` (eV), ``dft_bulk_modulus`` and ``ml_bulk_modulus``
        (GPa), ``dft_mag_density`` (1/Angstrom^3) and ``hhi_score``; empty where a crystal has none.

    Raises
    ------
    UnavailableError
        If the archive cannot be had.
    DataLossError
        If it is another one, or its tables cannot be read.
    """
    source = source or AlexMp20Source()
    if archive is None:
        archive = _download(folder / "alex_mp_20.zip", source, on_progress)
    elif not archive.is_file():
        raise ReadError(f"there is no file {archive}")
    elif (found := sha256_of(archive)) != source.sha256:
        raise DataLossError(f"{archive} has SHA-256 {found}; Alex-MP-20 has {source.sha256}")
    target, part = folder / "alex_mp_20.parquet", folder / ".alex_mp_20.parquet.part"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        _convert(archive, part, on_progress)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return target


def _download(
    target: Path, source: AlexMp20Source, on_progress: Callable[[str, int, int | None], None]
) -> Path:
    done = 0

    def count(piece: int) -> None:
        nonlocal done
        done += piece
        on_progress("download", done, source.size)

    return download_lfs(source.lfs, source.sha256, source.size, target, count)


def _convert(archive: Path, target: Path, on_progress: Callable[[str, int, int | None], None]) -> None:
    arrow: Any = require("pyarrow", "generator")
    parquet: Any = require("pyarrow.parquet", "generator")
    writer, done = None, 0
    try:
        for rows in _portions(archive):
            table = arrow.Table.from_pylist(rows, schema=None if writer is None else writer.schema)
            if writer is None:
                # A label that the first crystals lack is a number all the same.
                fields = [
                    f.with_type(arrow.float64()) if arrow.types.is_null(f.type) else f for f in table.schema
                ]
                writer = parquet.ParquetWriter(target, arrow.schema(fields), compression="zstd")
            writer.write_table(table.cast(writer.schema))
            done += len(rows)
            on_progress("reading", done, None)
    finally:
        if writer is not None:
            writer.close()
    if done == 0:
        raise DataLossError(f"{archive} holds no crystals")


def _portions(archive: Path) -> Iterator[list[dict[str, Any]]]:
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    with zipfile.ZipFile(archive) as files:
        for split in _SPLITS:
            name = f"alex_mp_20/{split}.csv"
            if name not in files.namelist():
                raise DataLossError(f"{archive} has no {name}")
            rows: list[dict[str, Any]] = []
            with io.TextIOWrapper(files.open(name), encoding="utf-8", newline="") as text:
                for line, row in enumerate(csv.DictReader(text), start=1):
                    try:
                        rows.append(_row(row, split))
                    except (KeyError, ValueError) as error:
                        raise DataLossError(f"{archive}, {name}, crystal {line}: {error!r}") from error
                    if len(rows) == _AT_ONCE:
                        yield rows
                        rows = []
            if rows:
                yield rows


def _row(row: dict[str, str], split: str) -> dict[str, Any]:
    cell, numbers, frac = read_one(row["cif"])
    labels = {name: float(value) if value else None for name, value in row.items() if name not in _TEXTS}
    return {
        "material_id": row["material_id"],
        "split": split,
        "formula": reduced_formula(numbers),
        "natoms": len(numbers),
        "lattice": cell,
        "numbers": numbers,
        "frac": frac,
        **labels,
    }
