"""Reading the structures of a reference from files, in units that are kept, so that a stopped build goes on.

A unit is some files of structures, or one parquet table. What was read of it, with AMD vectors and
the reasons for what was left out, lies in the work folder under a digest of its files' names, sizes and
times.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from oracle_svc.crystals.amd import DEFAULT_K, amd_vectors
from oracle_svc.known.reference.structures import StructureTable, read_structures
from oracle_svc.status import Status
from xenolith.convert import Items, read_path
from xenolith.convert.reading import kind_of
from xenolith.crystal import Crystal, CrystalBatch
from xenolith.errors import NotFoundError

__all__ = ["Gathered", "Progress", "gather"]

_FILES_OF_A_UNIT = 100
_AMD_AT_ONCE = 256
_FORMAT = 2

Progress = Callable[[str, int, int], None]
"""Told what is done, how many, and of how many."""


@dataclass(kw_only=True)
class Gathered:
    """Structures read from files."""

    ids: list[str] = field(default_factory=list)
    """File names, with `#index` in files of several; ids of a table. Each once."""
    batches: list[CrystalBatch] = field(default_factory=list)
    amd: list[NDArray[np.float64]] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    """Reason by file or structure."""
    notes: dict[str, list[str]] = field(default_factory=dict)
    """What was assumed in reading, by structure."""

    @property
    def table(self) -> StructureTable:
        """All structures."""
        return StructureTable(ids=tuple(_distinct(self.ids)), batch=CrystalBatch.concat(self.batches))

    @property
    def vectors(self) -> NDArray[np.float64]:
        """(M, k) AMD vectors, Angstrom."""
        return np.concatenate(self.amd) if self.amd else np.zeros((0, DEFAULT_K))


@dataclass(frozen=True, kw_only=True)
class _Unit:
    root: Path
    files: tuple[Path, ...]
    periodic: bool

    def key(self) -> str:
        """Digest of what it reads, and how."""
        stats = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in self.files]
        return hashlib.sha256(json.dumps([_FORMAT, DEFAULT_K, self.periodic, stats]).encode()).hexdigest()


def gather(
    paths: Iterable[Path], work: Path, *, periodic: bool = False, progress: Progress | None = None
) -> Gathered:
    """Read files and folders, and compute AMD vectors.

    A file or a structure that cannot be used is left out with a reason; nothing else stops.

    Parameters
    ----------
    paths
        Files of structures and parquet files, or folders of them.
    work
        Where units are kept.
    periodic
        Take atoms too that say that they are not periodic, as if they were.
    """
    result = Gathered()
    units = list(_units(paths, result, periodic))
    total = sum(len(unit.files) for unit in units)
    work.mkdir(parents=True, exist_ok=True)
    done = 0
    for unit in units:
        kept = work / f"{unit.key()}.parquet"
        if not kept.exists():
            _save(kept, *_read_unit(unit))
        _load(kept, result)
        done += len(unit.files)
        if progress is not None:
            progress("files", done, total)
    return result


def _units(paths: Iterable[Path], result: Gathered, periodic: bool) -> Iterator[_Unit]:
    for path in paths:
        if not path.exists():
            raise NotFoundError(f"there is no file or folder {path}")
        root = path if path.is_dir() else path.parent
        files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
        usable = [file for file in files if file.suffix == ".parquet" or _is_read(file, path)]
        other = Items(ignored=(str(file) for file in files if file not in set(usable)))
        if other.warning:
            result.notes[str(path)] = [other.warning]
        if not usable:
            result.skipped[str(path)] = "it holds no file of structures and no parquet file"
        tables = [file for file in usable if file.suffix == ".parquet"]
        for table in tables:
            yield _Unit(root=root, files=(table,), periodic=periodic)
        single = [file for file in usable if file.suffix != ".parquet"]
        for start in range(0, len(single), _FILES_OF_A_UNIT):
            some = tuple(single[start : start + _FILES_OF_A_UNIT])
            yield _Unit(root=root, files=some, periodic=periodic)


def _is_read(file: Path, named: Path) -> bool:
    return kind_of(file, named=file == named) is not None


def _read_unit(unit: _Unit) -> tuple[list[str], CrystalBatch, NDArray[np.float64], dict[str, Any]]:
    skipped: dict[str, str] = {}
    notes: dict[str, list[str]] = {}
    named = [pair for file in unit.files for pair in _read_file(file, unit, skipped, notes)]
    ids, crystals, vectors = [], [], []
    for start in range(0, len(named), _AMD_AT_ONCE):
        part = named[start : start + _AMD_AT_ONCE]
        measured = amd_vectors(CrystalBatch.from_crystals(crystal for _, crystal in part))
        for (name, crystal), vector, status, message in zip(
            part, measured.vectors, measured.statuses, measured.messages, strict=True
        ):
            if status is not Status.OK or not crystal.formula:
                skipped[name] = message or "it has an atom of no known element"
                continue
            ids.append(name)
            crystals.append(crystal)
            vectors.append(vector)
    amd = np.array(vectors).reshape(-1, DEFAULT_K)
    return ids, CrystalBatch.from_crystals(crystals), amd, {"skipped": skipped, "notes": notes}


def _read_file(
    file: Path, unit: _Unit, skipped: dict[str, str], notes: dict[str, list[str]]
) -> Iterator[tuple[str, Crystal]]:
    if file.suffix == ".parquet":
        try:
            table = read_structures(file)
        except (ValueError, OSError) as error:
            skipped[str(file)] = str(error)
            return
        yield from zip(table.ids, table.batch, strict=True)
        return
    name = str(file.relative_to(unit.root))
    for item in read_path(file, periodic=unit.periodic):
        label = item.source.replace(str(file), name, 1)
        if item.crystal is None:
            skipped[label] = str(item.problem)
        else:
            if item.notes:
                notes[label] = list(item.notes)
            yield label, item.crystal


def _save(
    path: Path, ids: list[str], batch: CrystalBatch, amd: NDArray[np.float64], metadata: dict[str, Any]
) -> None:
    offsets = batch.offsets.astype(np.int32)
    table = pa.table(
        {
            "id": pa.array(ids, pa.string()),
            "lattice": pa.FixedSizeListArray.from_arrays(pa.array(batch.lattices.ravel()), 9),
            "numbers": pa.ListArray.from_arrays(pa.array(offsets), pa.array(batch.numbers)),
            "frac": pa.ListArray.from_arrays(pa.array(offsets * 3), pa.array(batch.frac_coords.ravel())),
            "amd": pa.FixedSizeListArray.from_arrays(pa.array(amd.ravel()), DEFAULT_K),
        }
    ).replace_schema_metadata({name: json.dumps(value) for name, value in metadata.items()})
    partial = path.with_suffix(".partial")
    pq.write_table(table, partial, compression="zstd")
    partial.replace(path)


def _load(path: Path, into: Gathered) -> None:
    table = pq.read_table(path)
    into.skipped |= json.loads(table.schema.metadata[b"skipped"])
    into.notes |= json.loads(table.schema.metadata[b"notes"])
    if not len(table):
        return
    columns = {name: table[name].combine_chunks() for name in ("lattice", "numbers", "frac", "amd")}
    into.ids.extend(table["id"].to_pylist())
    into.amd.append(columns["amd"].flatten().to_numpy().reshape(-1, DEFAULT_K))
    into.batches.append(
        CrystalBatch(
            num_atoms=columns["numbers"].value_lengths().to_numpy(),
            lattices=columns["lattice"].flatten().to_numpy().reshape(-1, 3, 3),
            numbers=columns["numbers"].flatten().to_numpy(),
            frac_coords=columns["frac"].flatten().to_numpy().reshape(-1, 3),
        )
    )


def _distinct(names: list[str]) -> Iterator[str]:
    """Names, numbered where they occur again."""
    seen: dict[str, int] = {}
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        yield name if seen[name] == 1 else f"{name}~{seen[name]}"
