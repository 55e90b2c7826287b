"""Sources of crystals: files and folders of several kinds, and data sets known by name."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from generator_svc.data.arrow import read_arrow
from generator_svc.data.columns import Columns
from generator_svc.data.raw import Collector, OnError, RawCrystals, concatenated
from generator_svc.data.table import DataError
from xenolith.convert import Item, list_folder, read_path
from xenolith.convert.reading import KINDS, kind_of
from xenolith.crystal import Crystal
from xenolith.datasets import DATASETS, find_dataset
from xenolith.errors import DisorderedError

__all__ = ["read_source", "resolve_source", "source_files"]

_TABLES = (".parquet", ".csv", ".csv.gz")
_KNOWN = "parquet, csv, " + ", ".join(kind.name for kind in KINDS)
_PARTS = {"validation": "val", "valid": "val", "dev": "val"}


def resolve_source(path: Path) -> Path:
    """Return the file or folder of a path, or of a data set's name.

    Raises
    ------
    DataError
        There is neither; the message says how to get it.
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
    DataError
        It is of no known kind, or holds two kinds.
    """
    if path.is_file():
        if not _ends(path, _TABLES) and kind_of(path) is None:
            raise DataError(f"{path} is of no known kind: {_KNOWN} are")
        return [path]
    tables = sorted(file for file in path.rglob("*") if file.is_file() and _ends(file, _TABLES))
    structures = [file for file in list_folder(path).structures if file not in tables]
    if tables and structures:
        raise DataError(
            f"{path} holds tables ({tables[0].name}) and structures ({structures[0].name}): name one"
        )
    if not tables and not structures:
        raise DataError(f"{path} holds no file of a known kind: {_KNOWN}")
    return tables or structures


def read_source(path: Path, columns: Columns, on_error: OnError) -> RawCrystals:
    """Read all crystals of a source.

    Raises
    ------
    DataError
        Something does not fit; file, row, column and fix are named.
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
    """Crystals of structure files, through the reader that the SDK has too."""
    collector, texts = Collector(path, on_error), dict[str, None]()
    for file in files:
        items = read_path(file)
        for index, item in enumerate(items):
            where = _where(file, path, index, len(items))
            if isinstance(item.problem, DisorderedError):
                collector.left_out.add("disordered", where)
            elif item.crystal is None:
                collector.unreadable(where, _reason(item))
            else:
                collector.note(item.notes, where)
                texts.update({key: None for key, value in item.labels.items() if isinstance(value, str)})
                _add(collector, item.crystal, item, index, file, path, columns)
    return collector.crystals(tuple(texts))


def _add(
    collector: Collector, crystal: Crystal, item: Item, index: int, file: Path, root: Path, columns: Columns
) -> None:
    """Take a crystal in with its labels.

    A folder `train/`, `val/` or `test/` below the root is the part of its files that do not name one.
    """
    labels = item.labels
    id_ = next((labels[key] for key in (columns.id or "material_id", "id") if key in labels), None)
    stem = re.sub(r"\.(gz|bz2|xz)$", "", file.name).rpartition(".")[0] or file.name
    if id_ is None:
        id_ = stem if not _holds_many(file) and "#" not in item.source else f"{stem}-{index}"
    folders = file.relative_to(root).parts[:-1] if file != root else ()
    part = _PARTS.get(folders[0], folders[0]) if folders else ""
    collector.add(
        crystal,
        row=index,
        id_=str(id_),
        split=str(labels.get(columns.split or "split", "" if _holds_many(file) else part)),
        scalars={key: float(value) for key, value in labels.items() if _is_number(value)},
    )


def _holds_many(file: Path) -> bool:
    """Whether a kind of file holds frames or rows, which are numbered."""
    kind = kind_of(file)
    return kind is not None and kind.name not in ("CIF", "POSCAR")


def _where(file: Path, root: Path, index: int, count: int) -> str:
    if _holds_many(file):
        return f"{file.name}, frame {index}"
    name = str(file.relative_to(root)) if file != root else file.name
    return name if count == 1 else f"{name}, block {index}"


def _reason(item: Item) -> str:
    """Return an error's message without the path before it."""
    return str(item.problem).removeprefix(f"{item.source}: ")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, str)
