"""Structures of a run as the page lists, draws and hands them out."""

import re
import threading
import zipfile
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from trainer_svc.report.drawing import drawn_radius, element_colour, scene
from trainer_svc.runs.candidates import extxyz_frame
from trainer_svc.runs.directory import RunDirectory
from trainer_svc.runs.tables import crystals_of, read_table
from xenolith.convert.cif import to_cif
from xenolith.crystal import Crystal
from xenolith.elements import SYMBOLS
from xenolith.errors import InvalidArgumentError, NotFoundError
from xenolith.headlines import headline

__all__ = [
    "MOST_DRAWN",
    "MOST_PICKED",
    "MOST_ROWS",
    "SOURCES",
    "StructureTable",
    "Tables",
    "Wanted",
    "drawing",
]

SOURCES = {
    "candidates": "candidates.parquet",
    "base": "evaluations/base.parquet",
    "tuned": "evaluations/tuned.parquet",
}
"""Where structures come from: found in training, or samples of an evaluated policy."""
MOST_ROWS = 500
"""Rows of an answer."""
MOST_DRAWN = 48
"""Rows of an answer with what is needed to draw them."""
MOST_PICKED = 200
"""Structures handed out at once."""
_MOST_ATOMS = 600
"""Atoms of a structure that is drawn, images on faces included."""
_LONGEST_FILTER = 200
_SORTS = ("best", "e_above_hull", "amd_distance", "formula", "num_atoms", "step", "volume_per_atom")


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which rows of a table, and in which order."""

    text: str = ""
    """Parts of the formula, all of which it has; an element's symbol is not the beginning of another's."""
    msun: bool = False
    """Only what is metastable, unique and novel."""
    sort: str = "best"
    """Column; ``best``: energy above hull, those that are suspiciously low last."""
    descending: bool = False
    suspicious_below: float = 0.5
    """Energies further below the hull, eV/atom, are the calculator's mistakes more often than discoveries."""

    def __post_init__(self) -> None:
        if self.sort not in _SORTS:
            raise InvalidArgumentError(f"sort is {self.sort[:40]!r}, expected one of {', '.join(_SORTS)}")
        if len(self.text) > _LONGEST_FILTER:
            raise InvalidArgumentError(f"text has {len(self.text)} characters, at most {_LONGEST_FILTER}")


class StructureTable:
    """A table of n structures."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table
        self.formulas: list[str] = table.column("formula").to_pylist()
        self._columns: dict[str, NDArray[np.float64]] = {}

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def column(self, name: str) -> NDArray[np.float64]:
        """(n,) one column as numbers, NaN where absent."""
        if name not in self._columns:
            if name in self._table.column_names:
                values = self._table.column(name).cast(pa.float64()).to_numpy(zero_copy_only=False)
            else:
                values = np.full(len(self), np.nan)
            self._columns[name] = np.asarray(values, dtype=np.float64)
        return self._columns[name]

    @property
    def msun(self) -> NDArray[np.bool_]:
        """(n,) which structures are metastable, unique and novel."""
        return headline("msun").flags(self)

    def order(self, wanted: Wanted) -> NDArray[np.int64]:
        """Return the numbers of the rows wanted, in order."""
        rows = np.arange(len(self))
        if wanted.msun:
            rows = rows[self.msun]
        if parts := [re.compile(re.escape(part) + "(?![a-z])") for part in wanted.text.split()]:
            kept = [all(part.search(self.formulas[row]) for part in parts) for row in rows]
            rows = rows[np.array(kept, dtype=bool)]
        return rows[self._ranks(rows, wanted)]

    def row(self, row: int, suspicious_below: float) -> dict[str, Any]:
        """Return one structure's numbers.

        Raises
        ------
        NotFoundError
            There is no such row.
        """
        if not 0 <= row < len(self):
            raise NotFoundError(f"there is no structure {row}; there are {len(self)}")
        energy = self._number("e_above_hull", row)
        return {
            "row": row,
            "id": self._text("id", row) or str(row),
            "step": self._number("step", row),
            "formula": self.formulas[row],
            "num_atoms": self._number("num_atoms", row),
            "e_above_hull": energy,
            "suspicious": energy is not None and energy < -suspicious_below,
            "amd_distance": self._number("amd_distance", row),
            "nearest": self._text("nearest_reference", row),
            "volume_per_atom": self._number("volume_per_atom", row),
            "unique": self._number("unique", row),
            "novel": self._number("novel", row),
            "status": self._text("status", row),
        }

    def crystals(self, rows: Sequence[int]) -> list[Crystal]:
        """Return the crystals of these rows."""
        return crystals_of(self._table.take(pa.array(rows, type=pa.int64())))

    def cif(self, row: int) -> str:
        """Return a structure as CIF text."""
        return to_cif(self.crystals([row])[0])

    def extxyz(self, rows: Sequence[int]) -> str:
        """Return structures as frames of extended XYZ."""
        frames = []
        for row, crystal in zip(rows, self.crystals(rows), strict=True):
            told = self.row(row, np.inf)
            info = {key: told[key] for key in ("id", "step", "e_above_hull") if told[key] is not None}
            if "step" in info:
                info["step"] = int(info["step"])
            frames.append(extxyz_frame(crystal, **info))
        return "".join(frames)

    def cif_archive(self, rows: Sequence[int]) -> bytes:
        """Return structures as a zip file of CIF files."""
        buffer = BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for row in rows:
                archive.writestr(f"{self.file_name(row)}.cif", self.cif(row))
        return buffer.getvalue()

    def file_name(self, row: int) -> str:
        """Return a name for a file of a structure, without suffix."""
        return re.sub(r"[^A-Za-z0-9_.-]", "_", f"{self.row(row, np.inf)['id']}-{self.formulas[row]}")

    def _ranks(self, rows: NDArray[np.int64], wanted: Wanted) -> NDArray[np.int64]:
        if wanted.sort == "formula":
            ranks = np.argsort(np.array(self.formulas, dtype=str)[rows], kind="stable")
            return ranks[::-1] if wanted.descending else ranks
        best = wanted.sort == "best"
        values = self.column("e_above_hull" if best else wanted.sort)[rows]
        signed = -values if wanted.descending else values
        last = values < -wanted.suspicious_below if best else np.zeros(len(rows), dtype=bool)
        # NaN sorts behind all numbers, in either direction.
        return np.lexsort((signed, last))

    def _number(self, name: str, row: int) -> float | None:
        value = float(self.column(name)[row])
        return value if np.isfinite(value) else None

    def _text(self, name: str, row: int) -> str:
        if name not in self._table.column_names:
            return ""
        return str(self._table.column(name)[row].as_py() or "")


class Tables:
    """Tables of runs, read again when their files change; a few are kept. Safe to use from any thread."""

    def __init__(self, most: int = 6) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._kept: OrderedDict[Path, tuple[tuple[int, int], StructureTable]] = OrderedDict()

    def get(self, directory: RunDirectory, source: str) -> StructureTable | None:
        """Return a table of a run; None where there is none yet.

        Raises
        ------
        NotFoundError
            There is no such source.
        """
        if source not in SOURCES:
            raise NotFoundError(f"there is no {source[:40]!r}; there are {', '.join(SOURCES)}")
        path = directory.path / SOURCES[source]
        with self._lock:
            try:
                found = path.stat()
            except FileNotFoundError:
                return None
            stamp = found.st_mtime_ns, found.st_size
            kept = self._kept.get(path)
            if kept is None or kept[0] != stamp:
                kept = stamp, StructureTable(read_table(path))
                self._kept[path] = kept
            self._kept.move_to_end(path)
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
            return kept[1]


def drawing(crystal: Crystal) -> dict[str, Any] | None:
    """Return what draws a crystal, in view coordinates and Angstrom; None where it cannot be drawn.

    ``atoms`` are ``[x, y, z, element]``, with x to the right, y down and z towards the viewer.
    """
    numbers = crystal.numbers
    finite = np.isfinite(crystal.lattice).all() and np.isfinite(crystal.frac_coords).all()
    if not finite or crystal.volume <= 0 or numbers.min() < 1 or numbers.max() >= len(SYMBOLS):
        return None
    seen = scene(crystal)
    if len(seen.numbers) > _MOST_ATOMS:
        return None
    positions = np.round(seen.positions, 3).tolist()
    return {
        "atoms": [[*place, int(number)] for place, number in zip(positions, seen.numbers, strict=True)],
        "bonds": seen.bonds,
        "edges": [[np.round(end, 3).tolist() for end in edge] for edge in seen.edges],
        "elements": {
            int(number): {
                "symbol": SYMBOLS[number],
                "radius": round(drawn_radius(int(number)), 3),
                "colour": element_colour(int(number)),
            }
            for number in np.unique(numbers)
        },
    }
