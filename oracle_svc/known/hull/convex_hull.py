"""Energy above the convex hull of known phases, and what a structure would decompose into.

The hull of a system is made of the stable phases of the system and all its parts. Its facets are
computed once per system and kept; their planes support the hull from below, so the hull energy at
a composition is the largest of their values there. Where facets become too many (many elements and
phases), the decomposition is found by linear programming instead. Both are exact.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from oracle_svc.cache.base import Cache
from oracle_svc.cache.memory import Memory
from oracle_svc.crystals.elements import element_name
from oracle_svc.known.hull import geometry
from oracle_svc.known.hull.diagrams import Diagrams, SharedDiagrams, fractions_of
from oracle_svc.known.hull.entries import HullEntry, Phase, System, one_scheme
from oracle_svc.known.hull.surface import Surface, surface_of
from oracle_svc.status import Status
from xenolith.crystal import CrystalBatch

__all__ = ["Hull", "HullResult", "Placement"]

_GROUNDS_KEPT = 16_384


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Where a structure lies relative to the hull."""

    above_hull: float
    """eV/atom, negative below the hull."""
    formation_energy: float
    """eV/atom, against the elemental references."""
    decomposition: tuple[Phase, ...]
    """The most stable mixture of known phases at its composition."""


@dataclass(frozen=True, kw_only=True)
class HullResult:
    """Energies of a batch relative to the hull."""

    e_above_hull: NDArray[np.float64]
    """(B,) float64, eV/atom, negative below the hull; NaN where the status is not OK."""
    formation_energy_per_atom: NDArray[np.float64]
    """(B,) float64, eV/atom, against the elemental references; NaN likewise."""
    decompositions: tuple[tuple[Phase, ...], ...]
    """(B,) most stable mixture of known phases; empty likewise."""
    statuses: tuple[Status, ...]
    """(B,) OK, NO_REFERENCE, or SKIPPED where the energy was NaN already."""
    messages: tuple[str, ...]


class Hull:
    """The convex hulls of all chemical systems of a set of entries.

    Parameters
    ----------
    entries
        Known phases of one energy scheme; those that are on no hull change nothing. An element is
        covered if a phase of it alone is among them.

    Raises
    ------
    MixedSchemesError
        The entries are of two schemes.
    """

    def __init__(self, entries: Iterable[HullEntry]) -> None:
        members = list(entries)
        self.scheme = one_scheme(members)
        self._by_system: dict[System, list[HullEntry]] = {}
        for entry in members:
            self._by_system.setdefault(entry.system, []).append(entry)
        elemental = [(s[0], phases) for s, phases in self._by_system.items() if len(s) == 1]
        self._references = {
            z: min(phases, key=lambda entry: (entry.energy_per_atom, entry.id)) for z, phases in elemental
        }
        self.diagrams = Diagrams(self._make)
        self._grounds: Memory[tuple[System, bytes], _Ground] = Memory(_GROUNDS_KEPT)

    @property
    def elements(self) -> frozenset[int]:
        """Atomic numbers that have an elemental reference."""
        return frozenset(self._references)

    def share(self, cache: Cache, digest: str) -> None:
        """Exchange hulls of systems with other replicas through a cache.

        Parameters
        ----------
        digest
            Digest of the entries.
        """
        self.diagrams.shared = SharedDiagrams(cache=cache, digest=digest)

    def evaluate(self, batch: CrystalBatch, energy_per_atom: NDArray[np.float64]) -> HullResult:
        """Place structures relative to the hull; a missing element concerns its structure alone.

        Parameters
        ----------
        energy_per_atom
            (B,) eV/atom on the scheme of the entries; NaN where there is none.
        """
        above, formation = np.full(len(batch), np.nan), np.full(len(batch), np.nan)
        covered = self.elements
        outcomes = [(Status.OK, "")] * len(batch)
        decompositions: list[tuple[Phase, ...]] = [()] * len(batch)
        placeable: dict[int, tuple[System, NDArray[np.float64]]] = {}
        for index, energy in enumerate(energy_per_atom):
            numbers = batch.numbers[batch.offsets[index] : batch.offsets[index + 1]]
            missing = sorted(set(numbers.tolist()) - covered)
            if missing or not np.isfinite(energy) or not len(numbers):
                outcomes[index] = _unplaced(missing)
            else:
                placeable[index] = fractions_of(numbers)
        grounds = {index: self._grounds.get(_name(*place)) for index, place in placeable.items()}
        surfaces = self.diagrams.get_many(placeable[i][0] for i, ground in grounds.items() if ground is None)
        for index, (system, fractions) in placeable.items():
            ground = grounds[index]
            if ground is None:
                ground = _ground(surfaces[system], fractions)
                self._grounds.put(_name(system, fractions), ground)
            placed = _placement(ground, float(energy_per_atom[index]))
            above[index], formation[index] = placed.above_hull, placed.formation_energy
            decompositions[index] = placed.decomposition
        return HullResult(
            e_above_hull=above,
            formation_energy_per_atom=formation,
            decompositions=tuple(decompositions),
            statuses=tuple(status for status, _ in outcomes),
            messages=tuple(message for _, message in outcomes),
        )

    def place(self, numbers: NDArray[np.integer], energy_per_atom: float) -> Placement:
        """Place atoms with a known energy, eV/atom.

        Raises
        ------
        KeyError
            If an element has no reference.
        """
        system, fractions = fractions_of(numbers)
        return _placement(_ground(self.diagrams.get(system), fractions), energy_per_atom)

    def entries(self) -> Iterator[HullEntry]:
        """Yield all entries."""
        for group in self._by_system.values():
            yield from group

    def phases(self, system: System) -> Iterator[HullEntry]:
        """Yield the entries in `system` and all its parts."""
        for part in geometry.parts(system, self._by_system):
            yield from self._by_system[part]

    def _make(self, system: System) -> Surface:
        return surface_of(system, list(self.phases(system)), self._references)


@dataclass(frozen=True, kw_only=True)
class _Ground:
    """The hull at a composition, whatever is placed there."""

    elements: float
    """Energy of the elements side by side, eV/atom."""
    formation_energy: float
    """Of the hull, eV/atom."""
    decomposition: tuple[Phase, ...]


def _ground(surface: Surface, fractions: NDArray[np.float64]) -> _Ground:
    return _Ground(
        elements=float(fractions @ surface.references),
        formation_energy=surface.energy(fractions),
        decomposition=surface.phases(fractions),
    )


def _name(system: System, fractions: NDArray[np.float64]) -> tuple[System, bytes]:
    return system, fractions.tobytes()


def _placement(ground: _Ground, energy_per_atom: float) -> Placement:
    formation = energy_per_atom - ground.elements
    return Placement(
        above_hull=formation - ground.formation_energy,
        formation_energy=formation,
        decomposition=ground.decomposition,
    )


def _unplaced(missing: list[int]) -> tuple[Status, str]:
    if missing:
        names = ", ".join(map(element_name, missing))
        return Status.NO_REFERENCE, f"the hull has no elemental reference for {names}"
    return Status.SKIPPED, "it has no energy to compare with the hull"
