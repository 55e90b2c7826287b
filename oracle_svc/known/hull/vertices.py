"""Reducing entries to those that matter: the vertices of the hulls of all systems."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from oracle_svc.crystals.elements import element_name
from oracle_svc.known.hull import geometry
from oracle_svc.known.hull.entries import Composition, HullEntry, System, one_scheme

__all__ = ["covered", "reduce_to_vertices"]

_STABLE_BELOW = -1e-9  # eV/atom: an entry must lower the hull of the others by more than rounding


def covered(entries: Iterable[HullEntry]) -> tuple[list[HullEntry], dict[int, int]]:
    """Entries of which every element has a phase of its own, and how many each missing element costs."""
    members = list(entries)
    known = {entry.system[0] for entry in members if len(entry.system) == 1}
    kept: list[HullEntry] = []
    missing: dict[int, int] = {}
    for entry in members:
        absent = [z for z in entry.system if z not in known]
        for z in absent:
            missing[z] = missing.get(z, 0) + 1
        if not absent:
            kept.append(entry)
    return kept, missing


def reduce_to_vertices(entries: Iterable[HullEntry]) -> list[HullEntry]:
    """Return the entries that are vertices of the hull of their own system; they make the same hulls.

    Systems are taken by size, so that each one sees only the stable phases of its parts.

    Raises
    ------
    MixedSchemesError
        Their energies are of two schemes.
    ValueError
        If an element occurs that has no phase of its own.
    """
    members = list(entries)
    one_scheme(members)
    lowest: dict[Composition, HullEntry] = {}
    for entry in members:
        known = lowest.get(entry.composition)
        if known is None or entry.energy_per_atom < known.energy_per_atom:
            lowest[entry.composition] = entry
    systems: dict[System, list[HullEntry]] = {}
    for entry in lowest.values():
        systems.setdefault(entry.system, []).append(entry)
    references = {s[0]: group[0].energy_per_atom for s, group in systems.items() if len(s) == 1}
    _check_covered(systems, references)
    stable: dict[System, list[HullEntry]] = {}
    for system in sorted(systems, key=lambda s: (len(s), s)):
        stable[system] = _stable(system, systems[system], stable, references)
    return [entry for group in stable.values() for entry in group]


def _stable(
    system: System,
    candidates: list[HullEntry],
    stable: dict[System, list[HullEntry]],
    references: dict[int, float],
) -> list[HullEntry]:
    if len(system) == 1:
        return candidates
    phases = candidates + [entry for part in geometry.parts(system, stable) for entry in stable[part]]
    points, energies, kept = geometry.points_of(system, phases, references)
    own = [row + len(system) for row, index in enumerate(kept) if index < len(candidates)]
    if len(system) <= geometry.FACETS_UP_TO:
        vertices = np.intersect1d(geometry.lower_facets(points, energies), own)
    else:
        vertices = np.array([row for row in own if _lowers(points, energies, row)], dtype=np.int64)
    return [candidates[kept[row - len(system)]] for row in vertices]


def _lowers(points: NDArray[np.float64], energies: NDArray[np.float64], row: int) -> bool:
    others = np.arange(len(points)) != row
    lowest, _ = geometry.mixture(points[others], energies[others], points[row])
    return bool(energies[row] - lowest < _STABLE_BELOW)


def _check_covered(systems: Iterable[System], references: dict[int, float]) -> None:
    missing = sorted({z for system in systems for z in system} - set(references))
    if missing:
        names = ", ".join(map(element_name, missing))
        raise ValueError(f"no phase of the pure element for {names}: add one, or leave out its compounds")
