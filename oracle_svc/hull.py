"""Energy above the convex hull of known phases, per chemical system.

The hull of a system is made of the stable phases of the system and all its parts. Its facets are
computed once per system and kept; their planes support the hull from below, so the hull energy at
a composition is the largest of their values there. Where facets become too many (many elements and
phases), the decomposition is found by linear programming instead. Both are exact.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import gcd
from threading import Lock

import numpy as np
from scipy.optimize import linprog
from scipy.spatial import ConvexHull

from oracle_svc.elements import element_name
from oracle_svc.status import Status
from xenolith.crystal import CrystalBatch

__all__ = ["Hull", "HullEntry", "HullResult", "System", "composition_of", "reduce_to_vertices"]

System = tuple[int, ...]
"""Atomic numbers of a chemical system, ascending, each once."""

_FACETS_UP_TO = 7
_SYSTEMS_KEPT = 4096
_APEX = 1.0  # eV/atom above everything: closes the hull on top
_STABLE_BELOW = -1e-9  # eV/atom: an entry must lower the hull of the others by more than rounding


def composition_of(numbers: np.ndarray) -> tuple[tuple[int, int], ...]:
    """Return (atomic number, count) of the reduced composition of atoms (N,), N >= 1."""
    elements, counts = np.unique(numbers, return_counts=True)
    factor = gcd(*counts.tolist())
    return tuple(zip(elements.tolist(), (counts // factor).tolist(), strict=True))


@dataclass(frozen=True, kw_only=True)
class HullEntry:
    """A known phase."""

    id: str
    composition: tuple[tuple[int, int], ...]
    """(atomic number, count in the reduced formula), by ascending atomic number."""
    energy_per_atom: float
    """eV/atom."""

    @property
    def system(self) -> System:
        """Its elements."""
        return tuple(z for z, _ in self.composition)

    def fractions(self, system: System) -> np.ndarray:
        """Return the atomic fraction (d,) of each element of `system`."""
        counts = dict(self.composition)
        amounts = np.array([counts.get(z, 0) for z in system], dtype=np.float64)
        return amounts / amounts.sum()


@dataclass(frozen=True, kw_only=True)
class HullResult:
    """Energies of a batch relative to the hull."""

    e_above_hull: np.ndarray
    """(B,) float64, eV/atom, negative below the hull; NaN where the status is not OK."""
    formation_energy_per_atom: np.ndarray
    """(B,) float64, eV/atom, against the elemental references; NaN likewise."""
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
    """

    def __init__(self, entries: Iterable[HullEntry]) -> None:
        self._by_system: dict[System, list[HullEntry]] = {}
        for entry in entries:
            self._by_system.setdefault(entry.system, []).append(entry)
        elemental = [(s[0], e) for s, e in self._by_system.items() if len(s) == 1]
        self._references = {z: min(entry.energy_per_atom for entry in phases) for z, phases in elemental}
        self._surfaces: OrderedDict[System, _Surface] = OrderedDict()
        self._lock = Lock()

    @property
    def elements(self) -> frozenset[int]:
        """Atomic numbers that have an elemental reference."""
        return frozenset(self._references)

    def evaluate(self, batch: CrystalBatch, energy_per_atom: np.ndarray) -> HullResult:
        """Place structures relative to the hull; a missing element concerns its structure alone.

        Parameters
        ----------
        energy_per_atom
            (B,) eV/atom on the scheme of the entries; NaN where there is none.
        """
        above, formation = np.full(len(batch), np.nan), np.full(len(batch), np.nan)
        outcomes = []
        for index, energy in enumerate(energy_per_atom):
            atoms = slice(batch.offsets[index], batch.offsets[index + 1])
            missing = sorted({int(z) for z in batch.numbers[atoms]} - self.elements)
            if missing or not np.isfinite(energy) or atoms.start == atoms.stop:
                outcomes.append(_unplaced(missing))
                continue
            above[index], formation[index] = self.place(batch.numbers[atoms], float(energy))
            outcomes.append((Status.OK, ""))
        return HullResult(
            e_above_hull=above,
            formation_energy_per_atom=formation,
            statuses=tuple(status for status, _ in outcomes),
            messages=tuple(message for _, message in outcomes),
        )

    def place(self, numbers: np.ndarray, energy_per_atom: float) -> tuple[float, float]:
        """Return (energy above hull, formation energy) in eV/atom of atoms with a known energy.

        Raises
        ------
        KeyError
            If an element has no reference.
        """
        elements, counts = np.unique(numbers, return_counts=True)
        fractions = counts / counts.sum()
        system = tuple(elements.tolist())
        formation = energy_per_atom - float(fractions @ [self._references[z] for z in system])
        return formation - self._surface(system).energy(fractions), formation

    def phases(self, system: System) -> Iterator[HullEntry]:
        """Yield the entries in `system` and all its parts."""
        for part in _parts(system, self._by_system):
            yield from self._by_system[part]

    def _surface(self, system: System) -> _Surface:
        with self._lock:
            surface = self._surfaces.get(system)
            if surface is None:
                surface = _surface(system, list(self.phases(system)), self._references)
                self._surfaces[system] = surface
                if len(self._surfaces) > _SYSTEMS_KEPT:
                    self._surfaces.popitem(last=False)
            self._surfaces.move_to_end(system)
            return surface


@dataclass(frozen=True, kw_only=True)
class _Surface:
    """Formation energy of the hull as a function of composition."""

    points: np.ndarray
    """(M, d) fractions of the phases, elements first."""
    energies: np.ndarray
    """(M,) formation energies, eV/atom, none positive."""
    planes: np.ndarray | None
    """(F, d) chemical potentials of each facet, or None where the linear program is used."""

    def energy(self, fractions: np.ndarray) -> float:
        if self.planes is not None:
            return float((self.planes @ fractions).max())
        return _decompose(self.points, self.energies, fractions)


def _parts(system: System, known: Mapping[System, object]) -> Iterator[System]:
    """Yield the known systems inside `system`, by whichever enumeration is shorter."""
    if 2 ** len(system) > len(known):
        members = set(system)
        return (other for other in known if members.issuperset(other))
    parts = (part for size in range(1, len(system) + 1) for part in combinations(system, size))
    return (part for part in parts if part in known)


def _surface(system: System, phases: Sequence[HullEntry], references: dict[int, float]) -> _Surface:
    points, energies, _ = _points(system, phases, references)
    planes = _planes(points, energies) if len(system) <= _FACETS_UP_TO else None
    return _Surface(points=points, energies=energies, planes=planes)


def _points(
    system: System, phases: Sequence[HullEntry], references: dict[int, float]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Elements, then compounds of negative formation energy: fractions, energies, index in `phases`."""
    size = len(system)
    fractions = np.array([phase.fractions(system) for phase in phases]).reshape(-1, size)
    energies = np.array([phase.energy_per_atom for phase in phases]) - fractions @ [
        references[z] for z in system
    ]
    keep = np.flatnonzero((energies < 0) & (fractions.max(axis=1, initial=0) < 1))
    points = np.concatenate([np.eye(size), fractions[keep]])
    return points, np.concatenate([np.zeros(size), energies[keep]]), keep


def _planes(points: np.ndarray, energies: np.ndarray) -> np.ndarray:
    """Chemical potentials (F, d) of the lower facets: energy = potentials . fractions on each of them."""
    if points.shape[1] == 1:
        return np.zeros((1, 1))
    facets = _lower_facets(points, energies)
    return np.linalg.solve(points[facets], energies[facets][..., None])[..., 0]


def _lower_facets(points: np.ndarray, energies: np.ndarray) -> np.ndarray:
    """Simplices (F, d) of the lower hull, as indices of points."""
    size = points.shape[1]
    if len(points) == size:
        return np.arange(size)[None]
    apex = np.full((1, size), 1 / size)
    corners = np.column_stack([np.concatenate([points, apex])[:, 1:], np.append(energies, _APEX)])
    simplices = ConvexHull(corners).simplices
    simplices = simplices[(simplices < len(points)).all(axis=1)]
    # Sides of the hull project to nothing: they carry no composition of their own.
    return simplices[np.abs(np.linalg.det(points[simplices])) > 1e-12]


def _decompose(points: np.ndarray, energies: np.ndarray, fractions: np.ndarray) -> float:
    """Lowest energy of a mixture of phases with these fractions."""
    result = linprog(energies, A_eq=points.T, b_eq=fractions, bounds=(0, None), method="highs-ds")
    if not result.success:
        raise ArithmeticError(f"no decomposition into {len(points)} phases was found: {result.message}")
    return float(result.fun)


def _unplaced(missing: list[int]) -> tuple[Status, str]:
    if missing:
        names = ", ".join(map(element_name, missing))
        return Status.NO_REFERENCE, f"the hull has no elemental reference for {names}"
    return Status.SKIPPED, "it has no energy to compare with the hull"


def reduce_to_vertices(entries: Iterable[HullEntry]) -> list[HullEntry]:
    """Return the entries that are vertices of the hull of their own system; they make the same hulls.

    Systems are taken by size, so that each one sees only the stable phases of its parts.

    Raises
    ------
    ValueError
        If an element occurs that has no phase of its own.
    """
    lowest: dict[tuple[tuple[int, int], ...], HullEntry] = {}
    for entry in entries:
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
    phases = candidates + [entry for part in _parts(system, stable) for entry in stable[part]]
    points, energies, keep = _points(system, phases, references)
    own = [row + len(system) for row, index in enumerate(keep) if index < len(candidates)]
    if len(system) <= _FACETS_UP_TO:
        vertices = np.intersect1d(_lower_facets(points, energies), own)
    else:
        vertices = np.array([row for row in own if _lowers(points, energies, row)], dtype=np.int64)
    return [candidates[keep[row - len(system)]] for row in vertices]


def _lowers(points: np.ndarray, energies: np.ndarray, row: int) -> bool:
    others = np.arange(len(points)) != row
    return energies[row] - _decompose(points[others], energies[others], points[row]) < _STABLE_BELOW


def _check_covered(systems: Iterable[System], references: dict[int, float]) -> None:
    missing = sorted({z for system in systems for z in system} - set(references))
    if missing:
        names = ", ".join(map(element_name, missing))
        raise ValueError(f"no phase of the pure element for {names}: add one, or leave out its compounds")
