"""Crystals as a file holds them, before reduction, with what was left out and why."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from generator_svc.data.table import DataError
from xenolith.crystal import Crystal

__all__ = ["Collector", "LeftOut", "OnError", "RawCrystals", "concatenated", "unreadable"]

OnError = Literal["raise", "skip"]
# Names and numbers in notes, without which they are kinds that can be counted.
_KIND_OF_NOTE = re.compile(r"'[^']*'|\b\w*\d[\w.()]*")


@dataclass(kw_only=True)
class LeftOut:
    """Crystals that are not trained on, or of which something was assumed: by reason, with an example."""

    counts: dict[str, int] = field(default_factory=dict)
    examples: dict[str, str] = field(default_factory=dict)

    def add(self, reason: str, where: str, count: int = 1) -> None:
        """Count crystals."""
        if count:
            self.counts[reason] = self.counts.get(reason, 0) + count
            self.examples.setdefault(reason, where)

    @classmethod
    def joined(cls, parts: Iterable[LeftOut]) -> LeftOut:
        """Add several up."""
        total = cls()
        for part in parts:
            for reason, count in part.counts.items():
                total.add(reason, part.examples[reason], count)
        return total

    def __str__(self) -> str:
        parts = (
            f"{count} {reason} (first: {self.examples[reason]})" for reason, count in self.counts.items()
        )
        return ", ".join(parts) or "none"


@dataclass(frozen=True, kw_only=True)
class RawCrystals:
    """Crystals of one source as columns."""

    ids: NDArray[np.str_]
    """(S,) identifiers."""
    splits: NDArray[np.str_]
    """(S,) part of each; empty where the source has no parts."""
    num_atoms: NDArray[np.int64]
    """(S,) int64."""
    lattices: NDArray[np.float64]
    """(S, 3, 3) float64 row vectors, Angstrom."""
    numbers: NDArray[np.int64]
    """(T,) int64 atomic numbers; 0 for what is no element."""
    frac_coords: NDArray[np.float64]
    """(T, 3) float64."""
    scalars: dict[str, NDArray[np.float64]]
    """(S,) float64 of every column of numbers; NaN where a crystal has none."""
    texts: tuple[str, ...]
    """Other columns, which hold no numbers."""
    left_out: LeftOut
    noted: LeftOut
    """What was assumed, merged, corrected or ignored in reading."""

    def __len__(self) -> int:
        return len(self.num_atoms)

    def take(self, rows: NDArray[np.int64]) -> RawCrystals:
        """The given crystals."""
        starts = np.concatenate([[0], np.cumsum(self.num_atoms)])
        counts = self.num_atoms[rows]
        first = np.repeat(starts[:-1][rows] - np.concatenate([[0], np.cumsum(counts)[:-1]]), counts)
        atoms = np.arange(counts.sum()) + first.astype(np.int64)
        return RawCrystals(
            ids=self.ids[rows],
            splits=self.splits[rows],
            num_atoms=counts,
            lattices=self.lattices[rows],
            numbers=self.numbers[atoms],
            frac_coords=self.frac_coords[atoms],
            scalars={name: values[rows] for name, values in self.scalars.items()},
            texts=self.texts,
            left_out=self.left_out,
            noted=self.noted,
        )


class Collector:
    """Gathers crystals that come one by one.

    Parameters
    ----------
    path
        Their source, for messages.
    on_error
        Whether what cannot be read is an error, or counted as unreadable.
    """

    def __init__(self, path: Path, on_error: OnError) -> None:
        self.path, self.on_error, self.left_out, self.noted = path, on_error, LeftOut(), LeftOut()
        self._crystals: list[Crystal] = []
        self._ids: list[str] = []
        self._splits: list[str] = []
        self._rows: list[int] = []
        self._scalars: list[dict[str, float]] = []

    def add(
        self,
        crystal: Crystal,
        *,
        row: int,
        id_: str,
        split: str = "",
        scalars: dict[str, float] | None = None,
    ) -> None:
        """Take a crystal in."""
        self._crystals.append(crystal)
        self._ids.append(id_)
        self._splits.append(split)
        self._rows.append(row)
        self._scalars.append(scalars or {})

    def note(self, notes: Iterable[str], where: str) -> None:
        """Count what a reader assumed of a crystal."""
        for note in notes:
            self.noted.add(_KIND_OF_NOTE.sub("...", note), where)

    def unreadable(self, where: str, reason: str) -> None:
        """Count what cannot be read.

        Raises
        ------
        DataError
            Unless it is to be skipped.
        """
        if self.on_error == "raise":
            raise unreadable(self.path, where, reason)
        self.left_out.add("unreadable", where)

    @property
    def rows(self) -> NDArray[np.int64]:
        """(S,) rows of the source that the crystals came from."""
        return np.array(self._rows, dtype=np.int64)

    def crystals(self, texts: tuple[str, ...] = ()) -> RawCrystals:
        """All that were taken in."""
        names = dict.fromkeys(name for scalars in self._scalars for name in scalars)
        return RawCrystals(
            ids=np.array(self._ids, dtype=str),
            splits=np.array(self._splits, dtype=str),
            num_atoms=np.array([c.num_atoms for c in self._crystals], dtype=np.int64),
            lattices=np.array([c.lattice for c in self._crystals], dtype=float).reshape(-1, 3, 3),
            numbers=_joined([c.numbers for c in self._crystals]).astype(np.int64),
            frac_coords=_joined([c.frac_coords.ravel() for c in self._crystals]).astype(float).reshape(-1, 3),
            scalars={
                name: np.array([scalars.get(name, np.nan) for scalars in self._scalars]) for name in names
            },
            texts=texts,
            left_out=self.left_out,
            noted=self.noted,
        )


def unreadable(path: Path, where: str, reason: str) -> DataError:
    """Return the error that something in a file cannot be read."""
    return DataError(
        f'{path}, {where}: {reason}. Mend it, or set data.on_error = "skip" to count such and go on'
    )


def concatenated(parts: Iterator[RawCrystals]) -> RawCrystals:
    """Join the crystals of several files."""
    members = list(parts)
    names = dict.fromkeys(name for member in members for name in member.scalars)
    return RawCrystals(
        **{
            column: np.concatenate([getattr(member, column) for member in members])
            for column in ("ids", "splits", "num_atoms", "lattices", "numbers", "frac_coords")
        },
        scalars={
            name: np.concatenate([m.scalars.get(name, np.full(len(m), np.nan)) for m in members])
            for name in names
        },
        texts=tuple(dict.fromkeys(text for member in members for text in member.texts)),
        left_out=LeftOut.joined(member.left_out for member in members),
        noted=LeftOut.joined(member.noted for member in members),
    )


def _joined(arrays: list[NDArray[Any]]) -> NDArray[Any]:
    return np.concatenate(arrays) if arrays else np.empty(0)
