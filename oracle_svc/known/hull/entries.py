"""Known phases: what a hull is made of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from math import gcd

import numpy as np
from numpy.typing import NDArray

from xenolith.formula import formula_of_counts

__all__ = ["Composition", "HullEntry", "MixedSchemesError", "Phase", "System", "composition_of", "one_scheme"]

System = tuple[int, ...]
"""Atomic numbers of a chemical system, ascending, each once."""

Composition = tuple[tuple[int, int], ...]
"""(atomic number, count in the reduced formula), by ascending atomic number."""


class MixedSchemesError(ValueError):
    """Energies of two schemes were to share a hull; the message names both."""


def composition_of(numbers: NDArray[np.integer]) -> Composition:
    """Return (atomic number, count) of the reduced composition of atoms (N,), N >= 1."""
    elements, counts = np.unique(numbers, return_counts=True)
    factor = gcd(*counts.tolist())
    return tuple(zip(elements.tolist(), (counts // factor).tolist(), strict=True))


@lru_cache(maxsize=65_536)
def _formula(composition: Composition) -> str:
    # Of phases that many chemical systems share, it is asked for with each of their hulls.
    return formula_of_counts(dict(composition))


@dataclass(frozen=True, kw_only=True)
class HullEntry:
    """A known phase."""

    id: str
    composition: Composition
    energy_per_atom: float
    """eV/atom."""
    scheme: str = ""
    """Calculator and correction scheme of the energy; entries of two schemes make no hull."""

    @property
    def system(self) -> System:
        """Its elements."""
        return tuple(z for z, _ in self.composition)

    @property
    def formula(self) -> str:
        """Reduced formula, such as `SrTiO3`."""
        return _formula(self.composition)

    def fractions(self, system: System) -> NDArray[np.float64]:
        """Return the atomic fraction (d,) of each element of `system`."""
        counts = dict(self.composition)
        amounts = np.array([counts.get(z, 0) for z in system], dtype=np.float64)
        return amounts / amounts.sum()


@dataclass(frozen=True, kw_only=True)
class Phase:
    """A phase of a mixture."""

    id: str
    formula: str
    fraction: float
    """Share of the atoms, in (0, 1]."""


def one_scheme(entries: Iterable[HullEntry]) -> str:
    """Return the scheme that all entries share; empty if there are none.

    Raises
    ------
    MixedSchemesError
        They are of two; names both, and an entry of each.
    """
    first: HullEntry | None = None
    for entry in entries:
        first = first or entry
        if entry.scheme != first.scheme:
            raise MixedSchemesError(
                f"{first.id} has an energy of scheme {first.scheme or '(undeclared)'!r} and {entry.id} one of"
                f" {entry.scheme or '(undeclared)'!r}: energies of two schemes never share a hull"
            )
    return first.scheme if first else ""
