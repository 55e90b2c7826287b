"""Tables of formation energies: CSV with material_id, formula, formation_energy_per_atom (eV/atom)."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from pathlib import Path

from oracle_svc.known.hull import HullEntry
from oracle_svc.known.imports.base import Imported, ImportedEnergies, Labels, composition_from
from xenolith.convert.reading.content import decode, read_bytes
from xenolith.errors import InvalidArgumentError, ReadError
from xenolith.formula import parse_formula

__all__ = ["FORMATION", "read_formation_energies"]

FORMATION = "formation energies, "
"""Begins the scheme of energies against the elements: they share no hull with total energies."""
_COLUMNS = ("material_id", "formula", "formation_energy_per_atom")


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
    rows = _rows(path)
    entries: dict[str, HullEntry] = {}
    skipped: dict[str, str] = {}
    labels = Labels()
    for number, row in enumerate(rows, start=2):
        label = labels.name(row["material_id"] or "", f"row {number}")
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
    return Imported(entries=tuple(entries.values()), energies=energies, skipped=skipped, notes=labels.notes)


def _rows(path: Path) -> list[dict[str, str | None]]:
    try:
        text = decode(read_bytes(path)).text
    except ReadError as error:
        raise InvalidArgumentError(f"{path} {error}") from error
    reader = csv.DictReader(io.StringIO(text))
    missing = [column for column in _COLUMNS if column not in (reader.fieldnames or [])]
    if missing:
        raise InvalidArgumentError(
            f"{path} has no column {', '.join(missing)}; it needs {', '.join(_COLUMNS)}"
        )
    return list(reader)


def _entry(
    row: Mapping[str, str | None], label: str, elements: Mapping[int, float] | None, scheme: str
) -> HullEntry:
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
