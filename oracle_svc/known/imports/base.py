"""The result of every import, and how it becomes a reference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import gcd
from pathlib import Path
from typing import Any

from oracle_svc.crystals.amd import DEFAULT_TOLERANCE
from oracle_svc.crystals.elements import element_name
from oracle_svc.known.hull import Composition, HullEntry, covered, reduce_to_vertices
from oracle_svc.known.reference.write import DataSource, write_reference
from xenolith.elements import SYMBOLS
from xenolith.errors import InvalidArgumentError
from xenolith.listing import first_of

__all__ = [
    "MATERIALS_PROJECT",
    "MOST_NAMED",
    "Imported",
    "ImportedEnergies",
    "Labels",
    "composition_from",
    "write_hull",
]

MATERIALS_PROJECT = (
    "entries of the Materials Project (materialsproject.org), A. Jain et al., APL Mater. 1, 011002 (2013)"
)
MOST_NAMED = 5
"""Rows that a note names; it counts all."""
_NUMBERS = {symbol: number for number, symbol in enumerate(SYMBOLS) if number}


@dataclass(frozen=True, kw_only=True)
class ImportedEnergies:
    """Where imported energies come from; stands in a manifest where a calculator would."""

    id: str
    """Name of the data base, such as `materials-project`."""
    scheme: str
    """Declared energy scheme: calculators of the same scheme may be placed on the hull."""
    version: str = ""
    settings_digest: str = ""


@dataclass(frozen=True, kw_only=True)
class Imported:
    """Entries of one scheme, and what could not be used."""

    entries: tuple[HullEntry, ...]
    energies: ImportedEnergies
    skipped: Mapping[str, str] = field(default_factory=dict)
    """Reason by id."""
    notes: tuple[str, ...] = ()
    """What was assumed of the file, in plain words."""


class Labels:
    """Names of entries, each once: repeated ones are numbered, missing ones are told by their place."""

    def __init__(self) -> None:
        self._seen: dict[str, int] = {}
        self._blank = 0

    def name(self, label: str, place: str) -> str:
        """Return the name of an entry."""
        if not label.strip():
            self._blank += 1
            return self.name(place, place)
        self._seen[label] = self._seen.get(label, 0) + 1
        return label if self._seen[label] == 1 else f"{label}~{self._seen[label]}"

    @property
    def notes(self) -> tuple[str, ...]:
        """Remarks for the user on the imported entries."""
        again = [label for label, count in self._seen.items() if count > 1]
        notes = []
        if again:
            named = first_of(again, MOST_NAMED)
            notes.append(f"{len(again)} ids occur more than once; all of their entries count: {named}")
        if self._blank:
            notes.append(f"{self._blank} entries have no id; they are named by their place")
        return tuple(notes)


def composition_from(amounts: Mapping[str, float]) -> Composition:
    """Reduced composition of a mapping from symbols to amounts.

    Raises
    ------
    ValueError
        A symbol is no element, or an amount is no positive whole number.
    """
    counts: dict[int, int] = {}
    for symbol, amount in amounts.items():
        if symbol not in _NUMBERS:
            raise ValueError(f"{symbol!r} is no element")
        if amount <= 0 or abs(amount - round(amount)) > 1e-6:
            raise ValueError(f"{amount:g} {symbol} is no whole number of atoms")
        counts[_NUMBERS[symbol]] = round(amount)
    if not counts:
        raise ValueError("it has no composition")
    factor = gcd(*counts.values())
    return tuple((z, count // factor) for z, count in sorted(counts.items()))


def write_hull(imported: Imported, out: Path, source: DataSource) -> dict[str, Any]:
    """Write a reference that is a hull alone; return its manifest.

    Compounds of which an element has no entry of its own are left out and counted in the manifest.

    Raises
    ------
    InvalidArgumentError
        No element has an entry.
    """
    kept, missing = covered(imported.entries)
    if not kept:
        raise InvalidArgumentError(
            f"none of {len(imported.entries)} entries makes a hull: each element needs an entry of its own"
        )
    left_out = {element_name(z): count for z, count in sorted(missing.items())}
    return write_reference(
        out,
        known=None,
        vertices=reduce_to_vertices(kept),
        num_entries=len(kept),
        calculator=imported.energies,
        source=source,
        settings={
            "amd_tolerance": DEFAULT_TOLERANCE,
            "left_out": left_out,
            "skipped": len(imported.skipped),
        },
        imported=True,
    )
