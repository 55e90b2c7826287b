"""Sources read, checked and reduced once, and kept as parquet for the next time."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import structlog
from numpy.typing import NDArray

from generator_svc.data.columns import Columns
from generator_svc.data.raw import LeftOut, OnError, RawCrystals
from generator_svc.data.sources import read_source, resolve_source, source_files
from generator_svc.data.table import CrystalTable, DataError, niggli_cells

__all__ = ["Prepared", "prepare", "scalars_of"]

log = structlog.get_logger()

_VERSION = 2
_WORTH_KEEPING = 2000
_AT_ONCE = 50_000
_FLAT = 1e-2
"""Cells below this volume per atom, Angstrom^3, are no crystals."""


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """All crystals of a source, on reduced cells."""

    path: Path
    """Where they come from."""
    table: CrystalTable
    """Those that are crystals, with every column of numbers."""
    splits: NDArray[np.str_]
    """(S,) part of each; empty where the source has no parts."""
    texts: tuple[str, ...]
    """Columns that hold no numbers."""
    left_out: LeftOut
    """What is no ordered, finite crystal of known elements."""
    noted: LeftOut
    """What was assumed, merged, corrected or ignored in reading."""


def prepare(path: Path, columns: Columns | None = None, on_error: OnError = "raise") -> Prepared:
    """Read a source, or what was kept of it.

    Parameters
    ----------
    path
        File, folder or name of a data set.
    columns
        What its columns hold.
    on_error
        "skip" counts what cannot be read as unreadable.

    Raises
    ------
    DataError
        Something does not fit; file, row, column and fix are named.
    """
    source, columns = resolve_source(path), columns or Columns()
    kept = _kept_file(source, columns, on_error)
    if kept is not None and kept.exists():
        return _read(kept, source)
    prepared = _reduced(source, read_source(source, columns, on_error))
    if kept is not None and len(prepared.table) >= _WORTH_KEEPING:
        _keep(kept, prepared)
    return prepared


def _reduced(source: Path, raw: RawCrystals) -> Prepared:
    raw = _crystals_only(raw)
    cells, coords = np.empty_like(raw.lattices), np.empty_like(raw.frac_coords)
    starts = np.concatenate([[0], np.cumsum(raw.num_atoms)])
    for first in range(0, len(raw), _AT_ONCE):
        last = min(first + _AT_ONCE, len(raw))
        atoms = slice(starts[first], starts[last])
        cells[first:last], coords[atoms] = niggli_cells(
            raw.lattices[first:last], raw.num_atoms[first:last], raw.frac_coords[atoms]
        )
    table = CrystalTable(
        ids=raw.ids,
        num_atoms=raw.num_atoms,
        lattices=cells.astype(np.float32),
        numbers=raw.numbers,
        frac_coords=np.remainder(coords.astype(np.float32), np.float32(1)),
        scalars={name: values.astype(np.float32) for name, values in raw.scalars.items()},
    )
    return Prepared(
        path=source,
        table=table,
        splits=raw.splits,
        texts=raw.texts,
        left_out=raw.left_out,
        noted=raw.noted,
    )


def _crystals_only(raw: RawCrystals) -> RawCrystals:
    """Leave out, by reason, what no network could read."""
    empty = raw.num_atoms == 0
    index = np.repeat(np.arange(len(raw)), raw.num_atoms)
    unknown = np.zeros(len(raw), dtype=bool)
    broken = ~np.asarray(np.isfinite(raw.lattices).all(axis=(1, 2)))
    unknown[index[(raw.numbers < 1) | (raw.numbers > 118)]] = True
    broken[index[~np.isfinite(raw.frac_coords).all(axis=1)]] = True
    volume = np.abs(np.linalg.det(np.where(broken[:, None, None], np.eye(3), raw.lattices)))
    flat = volume < _FLAT * np.maximum(raw.num_atoms, 1)
    out = np.zeros(len(raw), dtype=bool)
    for reason, rows in (
        ("without atoms", empty),
        ("with unknown elements", unknown),
        ("not finite", broken),
        ("on flat cells", flat),
    ):
        new = rows & ~out
        if new.any():
            raw.left_out.add(reason, str(raw.ids[np.argmax(new)]), int(new.sum()))
        out |= rows
    return raw.take(np.flatnonzero(~out)) if out.any() else raw


def _kept_file(source: Path, columns: Columns, on_error: OnError) -> Path | None:
    folder = os.environ.get("XENOLITH_PREPARED", str(Path.home() / ".cache" / "xenolith" / "prepared"))
    if not folder:
        return None
    stats = [(str(file), (s := file.stat()).st_size, s.st_mtime_ns) for file in source_files(source)]
    key = json.dumps([_VERSION, str(source.resolve()), stats, columns.model_dump(), on_error])
    return Path(folder) / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.parquet"


def _keep(file: Path, prepared: Prepared) -> None:
    table = prepared.table
    atoms = pa.array(table.offsets)
    columns = {
        "id": pa.array(table.ids),
        "split": pa.array(prepared.splits),
        "lattice": pa.FixedSizeListArray.from_arrays(pa.array(table.lattices.reshape(-1)), 9),
        "numbers": pa.LargeListArray.from_arrays(atoms, pa.array(table.numbers.astype(np.int16))),
        "frac": pa.LargeListArray.from_arrays(
            pa.array(3 * table.offsets), pa.array(table.frac_coords.reshape(-1))
        ),
    }
    columns |= {f"scalar.{name}": pa.array(values) for name, values in table.scalars.items()}
    about = {
        "counts": prepared.left_out.counts,
        "examples": prepared.left_out.examples,
        "noted": {"counts": prepared.noted.counts, "examples": prepared.noted.examples},
        "texts": list(prepared.texts),
    }
    made = pa.table(columns).replace_schema_metadata({"xenolith": json.dumps(about)})
    part = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(made, part, compression="zstd")
        part.replace(file)
    except OSError as error:
        log.warning("prepared data is not kept", folder=str(file.parent), reason=error.strerror)


def _read(file: Path, source: Path) -> Prepared:
    made = pq.read_table(file)
    about = json.loads(made.schema.metadata[b"xenolith"])

    def values(name: str) -> NDArray[Any]:
        return made[name].combine_chunks().flatten().to_numpy(zero_copy_only=False)

    lengths = made["numbers"].combine_chunks().value_lengths().to_numpy().astype(np.int64)
    table = CrystalTable(
        ids=made["id"].to_numpy().astype(str),
        num_atoms=lengths,
        lattices=values("lattice").reshape(-1, 3, 3).copy(),
        numbers=values("numbers").astype(np.int64),
        frac_coords=values("frac").reshape(-1, 3).copy(),
        scalars={
            name.removeprefix("scalar."): made[name].to_numpy().copy()
            for name in made.column_names
            if name.startswith("scalar.")
        },
    )
    return Prepared(
        path=source,
        table=table,
        splits=made["split"].to_numpy().astype(str),
        texts=tuple(about["texts"]),
        left_out=LeftOut(counts=about["counts"], examples=about["examples"]),
        noted=LeftOut(**about["noted"]),
    )


def scalars_of(prepared: Prepared, names: tuple[str, ...]) -> dict[str, NDArray[np.float32]]:
    """(S,) float32 of the columns asked for; NaN where a crystal has no finite number.

    Raises
    ------
    DataError
        A column is not there, or holds no numbers.
    """
    result = {}
    for name in names:
        if name in prepared.texts:
            raise DataError(f"{prepared.path}: column {name!r} must hold numbers")
        if name not in prepared.table.scalars:
            raise DataError(
                f"{prepared.path}: column {name!r} is missing; columns of numbers are "
                f"{sorted(prepared.table.scalars)}"
            )
        values = prepared.table.scalars[name].astype(np.float32)
        result[name] = np.where(np.isfinite(values), values, np.float32("nan"))
    return result
