"""The lower convex hull of formation energies over composition: exact, by facets or by linear programming."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog
from scipy.spatial import ConvexHull

from oracle_svc.known.hull.entries import HullEntry, System

__all__ = ["FACETS_UP_TO", "lower_facets", "mixture", "parts", "planes_of", "points_of"]

FACETS_UP_TO = 7
"""Elements; systems of more have too many facets, and are decomposed by linear programming."""
_APEX = 1.0  # eV/atom above everything: closes the hull on top
_FLAT = 1e-12


def parts(system: System, known: Mapping[System, object]) -> Iterator[System]:
    """Yield the known systems inside `system`, by whichever enumeration is shorter."""
    if 2 ** len(system) > len(known):
        members = set(system)
        return (other for other in known if members.issuperset(other))
    inside = (part for size in range(1, len(system) + 1) for part in combinations(system, size))
    return (part for part in inside if part in known)


def points_of(
    system: System, phases: Sequence[HullEntry], references: Mapping[int, float]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Elements, then compounds of negative formation energy.

    Returns
    -------
    points
        (M, d) atomic fractions.
    energies
        (M,) formation energies, eV/atom.
    kept
        (M - d,) index in `phases` of each compound.
    """
    size = len(system)
    column = {z: place for place, z in enumerate(system)}
    rows = [row for row, phase in enumerate(phases) for _ in phase.composition]
    columns = [column[z] for phase in phases for z, _ in phase.composition]
    amounts = np.zeros((len(phases), size))
    amounts[rows, columns] = [count for phase in phases for _, count in phase.composition]
    fractions = amounts / amounts.sum(axis=1, keepdims=True)
    energies = np.array([phase.energy_per_atom for phase in phases]) - fractions @ [
        references[z] for z in system
    ]
    kept = np.flatnonzero((energies < 0) & (fractions.max(axis=1, initial=0) < 1))
    points = np.concatenate([np.eye(size), fractions[kept]])
    return points, np.concatenate([np.zeros(size), energies[kept]]), kept


def lower_facets(points: NDArray[np.float64], energies: NDArray[np.float64]) -> NDArray[np.integer]:
    """Simplices (F, d) of the lower hull, as indices of points."""
    size = points.shape[1]
    if len(points) == size:
        return np.arange(size)[None]
    apex = np.full((1, size), 1 / size)
    corners = np.column_stack([np.concatenate([points, apex])[:, 1:], np.append(energies, _APEX)])
    simplices = ConvexHull(corners).simplices
    simplices = simplices[(simplices < len(points)).all(axis=1)]
    # Sides of the hull project to nothing: they carry no composition of their own.
    return simplices[np.abs(np.linalg.det(points[simplices])) > _FLAT]


def planes_of(
    points: NDArray[np.float64], energies: NDArray[np.float64], facets: NDArray[np.integer]
) -> NDArray[np.float64]:
    """Chemical potentials (F, d) of facets (F, d): energy = potentials . fractions on each of them."""
    if points.shape[1] == 1:
        return np.zeros((1, 1))
    return np.asarray(np.linalg.solve(points[facets], energies[facets][..., None])[..., 0])


def mixture(
    points: NDArray[np.float64], energies: NDArray[np.float64], fractions: NDArray[np.float64]
) -> tuple[float, NDArray[np.float64]]:
    """Lowest energy of a mixture of phases with these fractions, and the share (M,) of each phase.

    Raises
    ------
    ArithmeticError
        None was found.
    """
    result = linprog(energies, A_eq=points.T, b_eq=fractions, bounds=(0, None), method="highs-ds")
    if not result.success:
        raise ArithmeticError(f"no decomposition into {len(points)} phases was found: {result.message}")
    return float(result.fun), np.asarray(result.x)
