"""Crystals from parquet and CSV files, column by column."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from generator_svc.data.columns import Columns, Layout, layout_of
from generator_svc.data.raw import Collector, LeftOut, OnError, RawCrystals, unreadable
from generator_svc.data.table import DataError, cells_from_parameters
from generator_svc.data.texts import read_cif_text, read_structure_json
from xenolith.elements import SYMBOLS
from xenolith.errors import CrystalError, DisorderedError, ReadError

__all__ = ["ragged_column", "read_arrow"]

_NUMERIC = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_null)
_NUMBER_OF = {symbol: number for number, symbol in enumerate(SYMBOLS) if symbol}


def read_arrow(path: Path, columns: Columns, on_error: OnError, split: str = "") -> RawCrystals:
    """Read one parquet or CSV file; `split` is the part of its crystals where no column says so.

    Raises
    ------
    DataError
        The file, a column or a row does not fit; the message names it and the fix.
    """
    table = _table(path)
    layout = layout_of(path, columns, table.column_names)
    scalars, texts = _labels(table, layout)
    head = _Head(table, layout, split)
    if layout.text is not None:
        return _from_texts(path, table, layout, head, scalars, texts, on_error)
    return _from_arrays(path, table, layout, head, scalars, texts, on_error)


class _Head:
    """Identifier and part of every row."""

    def __init__(self, table: Any, layout: Layout, split: str) -> None:
        rows = table.num_rows
        self.ids = np.array(
            [str(v) for v in table[layout.id].to_pylist()] if layout.id else np.arange(rows).astype(str),
            dtype=str,
        )
        parts = table[layout.split].to_pylist() if layout.split else [split] * rows
        self.splits = np.array(["" if part is None else str(part) for part in parts], dtype=str)


def _table(path: Path) -> Any:
    try:
        if path.suffix.lower() == ".csv" or path.name.lower().endswith(".csv.gz"):
            return _csv(path)
        return pq.read_table(path)
    except (pa.ArrowException, pd.errors.ParserError, UnicodeDecodeError, OSError, ValueError) as error:
        kind = "CSV" if ".csv" in path.name.lower() else "parquet"
        raise DataError(f"{path} cannot be read as a {kind} file: {' '.join(str(error).split())}") from error


def _csv(path: Path) -> Any:
    # pyarrow guesses types from a file's beginning and fails on what comes later; pandas looks at all of it.
    frame = pd.read_csv(path, low_memory=False)
    for name in frame.columns:
        if pd.api.types.is_object_dtype(frame[name]):
            frame[name] = frame[name].astype("string")
    return pa.Table.from_pandas(frame, preserve_index=False)


def _labels(table: Any, layout: Layout) -> tuple[dict[str, NDArray[np.float64]], tuple[str, ...]]:
    scalars: dict[str, NDArray[np.float64]] = {}
    texts = []
    for name in table.column_names:
        kind = table.schema.field(name).type
        if name in layout.used:
            continue
        if any(test(kind) for test in _NUMERIC):
            scalars[name] = table[name].cast(pa.float64()).to_numpy()
        elif not pa.types.is_nested(kind):
            texts.append(name)
    return scalars, tuple(texts)


def _from_texts(
    path: Path,
    table: Any,
    layout: Layout,
    head: _Head,
    scalars: dict[str, NDArray[np.float64]],
    texts: tuple[str, ...],
    on_error: OnError,
) -> RawCrystals:
    read = read_cif_text if layout.is_cif else read_structure_json
    collector = Collector(path, on_error)
    for row, value in enumerate(table[layout.text]):
        where = f"row {row}, column {layout.text!r}"
        try:
            crystal, notes = read(value.as_py())
        except DisorderedError:
            collector.left_out.add("disordered", f"{path.name}, row {row}")
            continue
        except (ReadError, CrystalError) as error:
            collector.unreadable(where, str(error))
            continue
        collector.note(notes, f"{path.name}, row {row}")
        collector.add(crystal, row=row, id_=str(head.ids[row]), split=str(head.splits[row]))
    found = collector.crystals(texts)
    found.scalars.update({name: values[collector.rows] for name, values in scalars.items()})
    return found


def _from_arrays(
    path: Path,
    table: Any,
    layout: Layout,
    head: _Head,
    scalars: dict[str, NDArray[np.float64]],
    texts: tuple[str, ...],
    on_error: OnError,
) -> RawCrystals:
    cells, cell_lengths = ragged_column(path, table, str(layout.lattice))
    numbers, counts = ragged_column(path, table, str(layout.numbers))
    coords, coord_lengths = ragged_column(path, table, str(layout.coords))
    faults = {
        layout.lattice: ~np.isin(cell_lengths, (6, 9)),
        layout.coords: coord_lengths != 3 * counts,
    }
    bad, left_out = np.zeros(len(counts), dtype=bool), LeftOut()
    for column, rows in faults.items():
        if rows.any():
            row = int(np.argmax(rows))
            if on_error == "raise":
                reason = (
                    f"holds {cell_lengths[row]} numbers; a cell has 6 (lengths, angles) or 9 (3x3)"
                    if column == layout.lattice
                    else f"holds {coord_lengths[row]} numbers, {layout.numbers!r} has {counts[row]} atoms"
                )
                raise unreadable(path, f"row {row}, column {column!r}", reason)
            bad |= rows
    left_out.add("unreadable", f"{path.name}, row {int(np.argmax(bad))}", int(bad.sum()))
    good = ~bad
    lattices = _cells(cells, cell_lengths, good)
    frac = coords[np.repeat(good, coord_lengths)].astype(float).reshape(-1, 3)
    atoms = counts[good]
    if layout.cartesian:
        frac = _fractional(frac, lattices, atoms)
    return RawCrystals(
        ids=head.ids[good],
        splits=head.splits[good],
        num_atoms=atoms,
        lattices=lattices,
        numbers=_atomic_numbers(numbers)[np.repeat(good, counts)],
        frac_coords=frac,
        scalars={name: values[good] for name, values in scalars.items()},
        texts=texts,
        left_out=left_out,
        noted=LeftOut(),
    )


def ragged_column(path: Path, table: Any, name: str) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Values of a column of lists, nested or as JSON text, all in a row, and (S,) how many each row has.

    Raises
    ------
    DataError
        It holds something else.
    """
    column = table[name].combine_chunks()
    if isinstance(column, pa.ChunkedArray):
        column = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        column = _lists_of_json(path, name, column)
    if not _is_list(column.type):
        raise DataError(f"{path}: column {name!r} holds {column.type}, and should hold a list of numbers")
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False).astype(np.int64)
    values = column.flatten()
    while _is_list(values.type):
        inner = pc.fill_null(pc.list_value_length(values), 0).to_numpy(zero_copy_only=False)
        ends = np.concatenate([[0], np.cumsum(inner)])[np.concatenate([[0], np.cumsum(lengths)])]
        lengths, values = np.diff(ends), values.flatten()
    return values.to_numpy(zero_copy_only=False), lengths


def _is_list(kind: Any) -> bool:
    return pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)


def _lists_of_json(path: Path, name: str, column: Any) -> Any:
    rows = []
    for row, text in enumerate(column.to_pylist()):
        try:
            # Python writes lists of symbols with single quotes; JSON wants double ones.
            rows.append(None if text is None else json.loads(text.replace("'", '"')))
        except ValueError as error:
            raise DataError(
                f"{path}, row {row}, column {name!r}: {text[:60]!r} is no list: {error}"
            ) from error
    return pa.array(rows)


def _cells(values: NDArray[Any], lengths: NDArray[np.int64], good: NDArray[np.bool_]) -> NDArray[np.float64]:
    cells = np.full((len(lengths), 3, 3), np.nan)
    ends = np.cumsum(lengths)
    for length in (6, 9):
        rows = np.flatnonzero(good & (lengths == length))
        block = values[(ends[rows] - length)[:, None] + np.arange(length)].astype(float)
        cells[rows] = cells_from_parameters(block) if length == 6 else block.reshape(-1, 3, 3)
    return cells[good]


def _atomic_numbers(values: NDArray[Any]) -> NDArray[np.int64]:
    """Atomic numbers of numbers or symbols; 0 for what is neither."""
    if values.dtype.kind in "OU":
        symbols, index = np.unique(values.astype(str), return_inverse=True)
        return np.array([_NUMBER_OF.get(symbol.strip(), 0) for symbol in symbols], dtype=np.int64)[index]
    return np.nan_to_num(values, nan=0.0).astype(np.int64)


def _fractional(
    positions: NDArray[np.float64], lattices: NDArray[np.float64], num_atoms: NDArray[np.int64]
) -> NDArray[np.float64]:
    safe = np.where(np.abs(np.linalg.det(lattices)) > 0, 1.0, np.nan)[:, None, None] * lattices
    inverse = np.full_like(lattices, np.nan)
    fine = np.isfinite(safe).all(axis=(1, 2))
    inverse[fine] = np.linalg.inv(safe[fine])
    return np.einsum("ai,aij->aj", positions, np.repeat(inverse, num_atoms, axis=0))
