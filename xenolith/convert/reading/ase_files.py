"""ASE's trajectories and data bases."""

import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from xenolith.convert.ase_atoms import from_ase, notes_of_ase
from xenolith.convert.reading.found import Found
from xenolith.errors import CrystalError, ReadError
from xenolith.optional import require

__all__ = ["read_database", "read_trajectory"]


def read_trajectory(content: bytes, *, periodic: bool = False) -> Iterator[Found]:
    """Yield the frames of a .traj file in order."""
    ase: Any = require("ase.io.trajectory", "ase")
    with _as_file(content, "a.traj") as path:
        try:
            frames = _guarded(lambda: ase.TrajectoryReader(str(path)), "is no readable ASE trajectory")
        except ReadError as error:
            yield Found(problem=error)
            return
        with frames:
            for index in range(len(frames)):
                yield _found(partial(frames.__getitem__, index), periodic)


def read_database(content: bytes, *, periodic: bool = False) -> Iterator[Found]:
    """Yield the rows of a .db file (SQLite) in the order of their ids."""
    ase: Any = require("ase.db", "ase")
    with _as_file(content, "a.db") as path:
        try:
            ids = _guarded(lambda: _ids(path), "is no readable ASE data base")
            rows = _guarded(lambda: ase.connect(str(path), type="db"), "is no readable ASE data base")
        except ReadError as error:
            yield Found(problem=error)
            return
        for index in ids:
            yield _row(rows, index, periodic)


def _ids(path: Path) -> list[int]:
    """Ids of all rows; asked for apart from the rows, so that a damaged one does not end the list."""
    with closing(sqlite3.connect(path)) as connection:
        return [int(row[0]) for row in connection.execute("SELECT id FROM systems ORDER BY id")]


def _row(rows: Any, index: int, periodic: bool) -> Found:
    labels: dict[str, Any] = {}

    def atoms() -> Any:
        row = rows.get(id=index)
        labels.update(row.key_value_pairs)
        return row.toatoms()

    found = _found(atoms, periodic)
    return replace(found, name=str(index), labels={**found.labels, **labels})


def _found(load: Callable[[], Any], periodic: bool) -> Found:
    try:
        atoms = _guarded(load, "is no readable structure")
        crystal = from_ase(atoms, periodic=periodic)
    except (ReadError, CrystalError) as error:
        return Found(problem=error)
    results = {} if atoms.calc is None else atoms.calc.results
    labels = {key: value for key, value in {**results, **atoms.info}.items() if np.isscalar(value)}
    return Found(crystal=crystal, notes=notes_of_ase(atoms), labels=labels)


def _guarded(load: Callable[[], Any], message: str) -> Any:
    try:
        return load()
    except Exception as error:  # a parser of foreign bytes fails in any way there is
        raise ReadError(f"{message}: {type(error).__name__}: {' '.join(str(error).split())[:200]}") from error


@contextmanager
def _as_file(content: bytes, name: str) -> Iterator[Path]:
    """The content, unpacked, under a name of its own: ASE opens files alone."""
    with tempfile.TemporaryDirectory(prefix="xenolith-") as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        yield path
