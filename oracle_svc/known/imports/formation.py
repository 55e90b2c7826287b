"""Tables of formation energies: CSV with material_id, formula, formation_energy_per_atom (eV/atom)."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path

from oracle_svc.known.hull import HullEntry
from oracle_svc.known.imports.base import (
    MOST_NAMED,
    Imported,
    ImportedEnergies,
    Labels,
    composition_from,
)
from xenolith.convert.reading.content import decode, read_bytes
from xenolith.errors import InvalidArgumentError, ReadError
from xenolith.formula import parse_formula
from xenolith.listing import first_of

__all__ = ["FORMATION", "read_formation_energies"]

FORMATION = "formation energies, "
"""Begins the scheme of energies against the elements: they share no hull with total energies."""
_COLUMNS = ("material_id", "formula", "formation_energy_per_atom")
_SURPLUS = ""
"""Key of the cells that no column is for."""


def read_formation_energies(
    path: Path,
    *,
    scheme: str,
    name: str = "formation-energies",
    elements: Mapping[int, float] | None = None,
) -> Imported:
    """Read a CSV file (or .csv.gz).

    Parameters
    ----------
    scheme
        Declared scheme of the energies that the formation energies were made of.
    elements
        Energy of each element in that scheme, eV/atom. With them the entries become total energies, on whose
        hull calculators of the scheme can be placed; without, every element is 0 and the scheme says so.

    Raises
    ------
    InvalidArgumentError
        A column is missing, or no row can be read.
    """
    declared = scheme if elements is not None else FORMATION + scheme
    rows, blank = _rows(path)
    entries: dict[str, HullEntry] = {}
    skipped: dict[str, str] = {}
    labels = Labels()
    for line, row in rows:
        label = labels.name(row["material_id"] or "", f"line {line}")
        try:
            entries[label] = _entry(row, label, elements, f"{name}: {declared}")
        except ValueError as error:
            skipped[label] = str(error)
    if not entries:
        raise InvalidArgumentError(
            f"{path} has no row that can be read: {next(iter(skipped.values()), 'none')}"
        )
    for z in sorted({z for entry in entries.values() for z in entry.system}):
        # By definition an element in its standard state has no formation energy, listed or not.
        level = 0.0 if elements is None else elements[z]
        label = f"element:{z}"
        entries[label] = HullEntry(
            id=label, composition=((z, 1),), energy_per_atom=level, scheme=f"{name}: {declared}"
        )
    energies = ImportedEnergies(id=name, scheme=declared)
    notes = (*labels.notes, *_told_blank(blank))
    return Imported(entries=tuple(entries.values()), energies=energies, skipped=skipped, notes=notes)


def _told_blank(lines: Sequence[int]) -> Iterator[str]:
    if lines:
        yield f"{len(lines)} blank lines among the rows were passed over: {first_of(lines, MOST_NAMED)}"


def _rows(path: Path) -> tuple[list[tuple[int, dict[str, str | None]]], list[int]]:
    """Rows by the line of the file that they end on, and the blank lines that rows follow."""
    try:
        text = decode(read_bytes(path)).text
    except ReadError as error:
        raise InvalidArgumentError(f"{path} {error}") from error
    reader = csv.reader(io.StringIO(text))
    columns = next(reader, [])
    missing = [column for column in _COLUMNS if column not in columns]
    if missing:
        raise InvalidArgumentError(
            f"{path} has no column {', '.join(missing)}; it needs {', '.join(_COLUMNS)}"
        )
    rows: list[tuple[int, dict[str, str | None]]] = []
    blank: list[int] = []
    for cells in reader:
        if not any(cell.strip() for cell in cells):
            blank.append(reader.line_num)
            continue
        row: dict[str, str | None] = dict(zip_longest(columns, cells[: len(columns)]))
        row[_SURPLUS] = ", ".join(cells[len(columns) :]) or None
        rows.append((reader.line_num, row))
    last = rows[-1][0] if rows else 0
    return rows, [line for line in blank if line < last]


def _entry(
    row: Mapping[str, str | None], label: str, elements: Mapping[int, float] | None, scheme: str
) -> HullEntry:
    if row[_SURPLUS] is not None:
        raise ValueError(f"it has more cells than the table has columns: {row[_SURPLUS]}")
    formula, told = row["formula"], row["formation_energy_per_atom"]
    if not formula or not told:
        raise ValueError(f"it has no {'formation energy' if formula else 'formula'}")
    composition = composition_from(parse_formula(formula.replace(" ", "")))
    energy = float(told)
    if not math.isfinite(energy):
        raise ValueError(f"its formation energy is {energy}")
    if elements is not None:
        unknown = [z for z, _ in composition if z not in elements]
        if unknown:
            raise ValueError(f"there is no elemental energy for atomic number {unknown[0]}")
        atoms = sum(count for _, count in composition)
        energy += sum(elements[z] * count for z, count in composition) / atoms
    return HullEntry(id=label, composition=composition, energy_per_atom=energy, scheme=scheme)
