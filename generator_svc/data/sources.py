"""What may hold crystals: files and folders of several kinds, and data sets known by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ase.io
import numpy as np

from generator_svc.data.arrow import read_arrow
from generator_svc.data.columns import Columns
from generator_svc.data.raw import Collector, OnError, RawCrystals, concatenated
from generator_svc.data.table import DataError
from generator_svc.data.texts import read_cif_text
from xenolith.convert.ase_atoms import from_ase
from xenolith.datasets import DATASETS, find_dataset
from xenolith.errors import CrystalError, DisorderedError, ReadError

_TABLES = (".parquet", ".csv", ".csv.gz")
_STRUCTURES = (".cif", ".extxyz", ".xyz")
_PARTS = {"validation": "val", "valid": "val", "dev": "val"}


def resolve_source(path: Path) -> Path:
    """Return the file or folder of a path, or of a data set's name.

    Raises
    ------
    DataError : there is neither; the message says how to get it.
    """
    if path.exists():
        return path
    if str(path) in DATASETS:
        found = find_dataset(str(path))
        if found is None:
            raise DataError(f"{path} is not on this machine: run `xenolith data fetch {path}`")
        return found
    raise DataError(f"there is no file or folder {path}; data sets known by name: {', '.join(DATASETS)}")


def source_files(path: Path) -> list[Path]:
    """Files that a source is read from, in order.

    Raises
    ------
    DataError : it is of no known kind, or holds two kinds.
    """
    if path.is_file():
        if not _ends(path, _TABLES + _STRUCTURES):
            raise DataError(f"{path} is of no known kind: parquet, csv, cif and extxyz are")
        return [path]
    tables = sorted(file for file in path.rglob("*") if file.is_file() and _ends(file, _TABLES))
    structures = sorted(file for file in path.rglob("*") if file.is_file() and _ends(file, _STRUCTURES))
    if tables and structures:
        raise DataError(
            f"{path} holds tables ({tables[0].name}) and structures ({structures[0].name}): name one"
        )
    if not tables and not structures:
        raise DataError(f"{path} holds no parquet, csv, cif or extxyz file")
    return tables or structures


def read_source(path: Path, columns: Columns, on_error: OnError) -> RawCrystals:
    """Read all crystals of a source.

    Raises
    ------
    DataError : something does not fit; file, row, column and fix are named.
    """
    files = source_files(path)
    if _ends(files[0], _TABLES):
        several = len(files) > 1
        return concatenated(
            read_arrow(file, columns, on_error, _part_of(file) if several else "") for file in files
        )
    return _read_structures(path, files, columns, on_error)


def _ends(path: Path, endings: tuple[str, ...]) -> bool:
    return path.name.lower().endswith(endings)


def _part_of(file: Path) -> str:
    """Part that a shard's name says: train-00000-of-00003.parquet and train.csv are of train."""
    part = file.name.split(".")[0].split("-")[0]
    return _PARTS.get(part, part)


def _read_structures(path: Path, files: list[Path], columns: Columns, on_error: OnError) -> RawCrystals:
    collector, texts = Collector(path, on_error), dict[str, None]()
    for file in files:
        if file.suffix.lower() == ".cif":
            _add_cif(collector, file, path)
        else:
            _add_frames(collector, file, columns, texts)
    return collector.crystals(tuple(texts))


def _add_cif(collector: Collector, file: Path, root: Path) -> None:
    """One crystal per file; a folder `train/`, `val/` or `test/` below the root is its part."""
    where = str(file.relative_to(root)) if file != root else file.name
    try:
        crystal = read_cif_text(file.read_text("utf-8", errors="replace"))
    except DisorderedError:
        collector.left_out.add("disordered", where)
        return
    except (ReadError, CrystalError, OSError) as error:
        collector.unreadable(where, str(error))
        return
    parts = file.relative_to(root).parts[:-1] if file != root else ()
    split = _PARTS.get(parts[0], parts[0]) if parts else ""
    collector.add(crystal, row=0, id_=file.stem, split=split)


def _add_frames(collector: Collector, file: Path, columns: Columns, texts: dict[str, None]) -> None:
    """Crystals of an extxyz file; numbers beside a frame are its labels."""
    index = -1
    try:
        for index, atoms in enumerate(ase.io.iread(str(file), index=":", format="extxyz")):
            where = f"{file.name}, frame {index}"
            if not atoms.cell.array.any():
                collector.unreadable(where, 'has no cell; a crystal needs Lattice="..." on its second line')
                continue
            info = _with_results(atoms)
            id_ = next((info[key] for key in (columns.id or "material_id", "id") if key in info), None)
            scalars = {key: float(value) for key, value in info.items() if _is_number(value)}
            texts.update({key: None for key, value in info.items() if isinstance(value, str)})
            collector.add(
                from_ase(atoms),
                row=index,
                id_=f"{file.stem}-{index}" if id_ is None else str(id_),
                split=str(info.get(columns.split or "split", "")),
                scalars=scalars,
            )
    except Exception as error:  # a parser of free text fails in any way there is
        if isinstance(error, DataError):
            raise
        # What follows a damaged frame cannot be found again, so this is an error whatever on_error says.
        raise DataError(
            f"{file}, frame {index + 1}: is no readable extxyz: {' '.join(str(error).split())[:200]}"
        ) from error


def _with_results(atoms: Any) -> dict[str, Any]:
    """Labels of a frame; ASE moves known ones, such as energy, into a calculator."""
    results = {} if atoms.calc is None else {k: v for k, v in atoms.calc.results.items() if _is_number(v)}
    return {**results, **atoms.info}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, str)
