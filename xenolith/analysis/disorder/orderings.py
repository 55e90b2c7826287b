"""Ordered cells of a disordered parent: all small ones that differ, and larger ones that look random.

All superlattices up to an index and all decorations of each, symmetry taken out: G. Hart and R. Forcade,
Phys. Rev. B 77, 224115 (2008). Quasi-random cells: A. Zunger et al., Phys. Rev. Lett. 65, 353 (1990), the
best of a bounded number of random decorations. Written here because the libraries that do it call programs
that are not installed with them (pymatgen: enumlib, mcsqs) or are compiled from source (icet).
"""

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xenolith.analysis.disorder.parent import SYMPREC, DisorderedParent
from xenolith.crystal import Crystal
from xenolith.optional import require

__all__ = ["Ordering", "enumerate_orderings", "quasi_random_cells"]

Ints = NDArray[np.int64]
_MOST_DECORATIONS = 20_000
_TRIES = 400
_SHELLS = 1.8
"""Pairs are compared up to this many times the smallest distance of shared sites."""


@dataclass(frozen=True, kw_only=True)
class Ordering:
    """One way to put the elements on the sites of a cell."""

    crystal: Crystal
    """The cell."""
    weight: float
    """Share that its copies by symmetry have of all decorations of its superlattice."""


@dataclass(frozen=True, kw_only=True)
class _Supercell:
    """Sites of a superlattice."""

    matrix: Ints
    """(3, 3) rows: its vectors in those of the parent."""
    sites: Ints
    """(S,) site of the parent."""
    points: Ints
    """(S, 3) lattice point of the parent."""


def enumerate_orderings(parent: DisorderedParent, *, most_shared: int = 8, most: int = 200) -> list[Ordering]:
    """Return ordered cells that differ, the smallest first.

    Parameters
    ----------
    parent
        The parent; each orbit keeps its composition in every cell.
    most_shared
        Shared sites of the largest cell.
    most
        Cells to return; the search ends with the superlattice that reaches it.
    """
    rotations, shifts = _operations(parent)
    per_cell = int(parent.shared.sum())
    found: list[Ordering] = []
    for copies in range(1, most_shared // per_cell + 1):
        if not parent.fits(copies):
            continue
        for matrix in _superlattices(copies, rotations):
            if len(found) >= most:
                return found[:most]
            found += _decorated(parent, _supercell(parent, matrix), rotations, shifts)
    return found[:most]


def quasi_random_cells(
    parent: DisorderedParent, *, shared: int = 16, cells: int = 3, seed: int = 0
) -> list[Crystal]:
    """Return cells whose neighbours are as near to random as the best of some hundred random decorations.

    Parameters
    ----------
    parent
        The parent.
    shared
        Shared sites of a cell, at most (but one cell of the parent that fits its composition at least).
    cells
        How many.
    seed
        Of the random numbers.
    """
    per_cell = int(parent.shared.sum())
    copies = max((n for n in range(1, max(1, shared // per_cell) + 1) if parent.fits(n)), default=0)
    if not copies:
        copies = next((n for n in range(1, 4 * shared) if parent.fits(n)), 0)
    if not copies:
        return []
    # Of all superlattices the most compact: its own images are farthest.
    matrix = max(_hermite_forms(copies), key=lambda m: _shortest(m @ parent.lattice))
    cell = _supercell(parent, matrix)
    generator = np.random.default_rng(seed)
    slots = _slots(parent, cell)
    pairs = _pairs(parent, cell)
    tried: dict[bytes, float] = {}
    for _ in range(_TRIES):
        numbers = np.concatenate([generator.permutation(numbers) for _, numbers in slots])
        tried.setdefault(numbers.tobytes(), _order(parent, cell, slots, numbers, pairs))
    best = sorted(tried, key=lambda key: tried[key])[:cells]
    return [_crystal(parent, cell, slots, np.frombuffer(key, dtype=np.int64)) for key in best]


def _operations(parent: DisorderedParent) -> tuple[Ints, NDArray[np.float64]]:
    spglib: Any = require("spglib", "pymatgen")
    cell = (parent.lattice, parent.frac_coords, parent.orbits + 1)
    operations = spglib.get_symmetry(cell, symprec=SYMPREC)
    return np.asarray(operations["rotations"], dtype=np.int64), np.asarray(operations["translations"])


def _hermite_forms(index: int) -> list[Ints]:
    """All superlattices of an index, each once."""
    forms = []
    for a in (n for n in range(1, index + 1) if index % n == 0):
        rest = index // a
        for c in (n for n in range(1, rest + 1) if rest % n == 0):
            f = rest // c
            forms += [
                np.array([[a, 0, 0], [b, c, 0], [d, e, f]], dtype=np.int64)
                for b, d, e in itertools.product(range(a), range(a), range(c))
            ]
    return forms


def _is_whole(matrix: NDArray[np.float64]) -> bool:
    return bool(np.abs(matrix - np.round(matrix)).max() < 1e-6)


def _superlattices(index: int, rotations: Ints) -> list[Ints]:
    """Superlattices that no rotation of the parent turns into one another."""
    distinct: list[Ints] = []
    inverses: list[NDArray[np.float64]] = []
    for form in _hermite_forms(index):
        turned = [form @ rotation.T for rotation in rotations]
        if not any(_is_whole(t @ inverse) for inverse in inverses for t in turned):
            distinct.append(form)
            inverses.append(np.linalg.inv(form))
    return distinct


def _supercell(parent: DisorderedParent, matrix: Ints) -> _Supercell:
    # In this triangular form the points of the parent in the cell are those of a box.
    box = np.array(list(itertools.product(*(range(n) for n in np.diag(matrix)))), dtype=np.int64)
    sites = np.repeat(np.arange(len(parent.orbits)), len(box))
    return _Supercell(matrix=matrix, sites=sites, points=np.tile(box, (len(parent.orbits), 1)))


def _slots(parent: DisorderedParent, cell: _Supercell) -> list[tuple[Ints, Ints]]:
    """For each shared orbit, its sites in the cell and the elements that go there."""
    slots = []
    for orbit, occupancy in enumerate(parent.occupancies):
        if len(occupancy) == 1:
            continue
        places = np.flatnonzero(parent.orbits[cell.sites] == orbit)
        numbers = [np.full(round(len(places) * x), z, dtype=np.int64) for z, x in occupancy.items()]
        slots.append((places, np.concatenate(numbers)))
    return slots


def _crystal(
    parent: DisorderedParent, cell: _Supercell, slots: list[tuple[Ints, Ints]], numbers: Ints
) -> Crystal:
    """The cell with `numbers` on its slots, one after the other."""
    full = np.array([next(iter(parent.occupancies[orbit])) for orbit in parent.orbits[cell.sites]])
    full[np.concatenate([places for places, _ in slots])] = numbers
    frac = (parent.frac_coords[cell.sites] + cell.points) @ np.linalg.inv(cell.matrix)
    return Crystal(lattice=cell.matrix @ parent.lattice, numbers=full, frac_coords=frac % 1.0)


def _permutations(
    parent: DisorderedParent, cell: _Supercell, rotations: Ints, shifts: NDArray[np.float64]
) -> tuple[Ints, Ints]:
    """(P, S) how operations permute sites of a cell, and (T, S) how translations of the parent alone do."""
    inverse = np.linalg.inv(cell.matrix)
    positions = parent.frac_coords[cell.sites] + cell.points
    first = cell.points[: len(cell.points) // len(parent.orbits)]  # all points, once
    kept = [n for n, rotation in enumerate(rotations) if _is_whole(cell.matrix @ rotation.T @ inverse)]
    rows = []
    for n in kept:
        for point in first:
            moved = positions @ rotations[n].T + shifts[n] + point
            apart = (moved[:, None] - positions[None]) @ inverse
            apart -= np.round(apart)
            near = np.abs(apart).max(axis=-1)
            near[parent.orbits[cell.sites][:, None] != parent.orbits[cell.sites][None]] = np.inf
            rows.append(near.argmin(axis=1))
    everything = np.unique(np.array(rows), axis=0)
    identity = next(
        place
        for place, n in enumerate(kept)
        if (rotations[n] == np.eye(3, dtype=np.int64)).all() and np.abs(shifts[n]).max() < 1e-6
    )
    start = identity * len(first)
    return everything, np.array(rows[start : start + len(first)])


def _decorated(
    parent: DisorderedParent, cell: _Supercell, rotations: Ints, shifts: NDArray[np.float64]
) -> list[Ordering]:
    """Decorations of a superlattice that differ and do not repeat inside it."""
    slots = _slots(parent, cell)
    places = np.concatenate([members for members, _ in slots])
    ways = [_arrangements(numbers) for _, numbers in slots]
    if np.prod([float(len(members)) for members in ways]) > _MOST_DECORATIONS:
        return []
    decorations = np.array([np.concatenate(parts) for parts in itertools.product(*ways)])
    operations, translations = _permutations(parent, cell, rotations, shifts)
    place_of = np.full(len(cell.sites), -1)
    place_of[places] = np.arange(len(places))
    among = np.unique(place_of[operations[:, places]], axis=0)
    shifted = place_of[translations[:, places]]
    _, labels = np.unique(decorations, return_inverse=True)
    labels = labels.reshape(decorations.shape)
    base = (labels.max() + 1) ** np.arange(len(places), dtype=np.int64)[::-1]
    images = np.stack([labels[:, permutation] @ base for permutation in among])
    _, firsts, counts = np.unique(images.min(axis=0), return_index=True, return_counts=True)
    moved = [permutation for permutation in shifted if (permutation != np.arange(len(places))).any()]
    found = []
    for first, count in zip(firsts, counts, strict=True):
        if any((labels[first][permutation] == labels[first]).all() for permutation in moved):
            continue  # it has a smaller cell, where it was found before
        crystal = _crystal(parent, cell, slots, decorations[first])
        found.append(Ordering(crystal=crystal, weight=float(count) / len(decorations)))
    return found


def _arrangements(numbers: Ints) -> list[Ints]:
    """All orders of elements, of which some are the same."""
    if len(numbers) == 0:
        return [numbers]
    elements, counts = np.unique(numbers, return_counts=True)
    if len(elements) == 1:
        return [numbers]
    found = []
    rest = np.repeat(elements[1:], counts[1:])
    inner = _arrangements(rest)
    for places in itertools.combinations(range(len(numbers)), int(counts[0])):
        free = np.ones(len(numbers), dtype=bool)
        free[list(places)] = False
        for others in inner:
            arranged = np.full(len(numbers), elements[0], dtype=np.int64)
            arranged[free] = others
            found.append(arranged)
            if len(found) > _MOST_DECORATIONS:
                return found
    return found


def _shortest(lattice: NDArray[np.float64]) -> float:
    steps = np.array([s for s in itertools.product((-2, -1, 0, 1, 2), repeat=3) if any(s)])
    return float(np.linalg.norm(steps @ lattice, axis=1).min())


def _pairs(parent: DisorderedParent, cell: _Supercell) -> list[tuple[Ints, Ints]]:
    """Neighbours of shared sites by shells: indices among all sites of the cell."""
    lattice = cell.matrix @ parent.lattice
    positions = (parent.frac_coords[cell.sites] + cell.points) @ parent.lattice
    places = np.flatnonzero(parent.shared[cell.sites])
    images = np.array(list(itertools.product((-2, -1, 0, 1, 2), repeat=3))) @ lattice
    apart = positions[places][:, None, None] - positions[places][None, :, None] + images[None, None]
    distances = np.round(np.linalg.norm(apart, axis=-1), 2)
    distances[distances < 0.1] = np.inf
    cutoff = _SHELLS * distances.min()
    shells = []
    for distance in np.unique(distances[distances <= cutoff]):
        left, right, _ = np.nonzero(distances == distance)
        shells.append((places[left], places[right]))
    return shells


def _order(
    parent: DisorderedParent,
    cell: _Supercell,
    slots: list[tuple[Ints, Ints]],
    numbers: Ints,
    shells: list[tuple[Ints, Ints]],
) -> float:
    """How far like neighbours are from their share in a random crystal, nearer shells counting more."""
    full = np.zeros(len(cell.sites), dtype=np.int64)
    full[np.concatenate([places for places, _ in slots])] = numbers
    total = 0.0
    orbit_of = parent.orbits[cell.sites]
    for shell, (left, right) in enumerate(shells):
        expected = np.mean(
            [
                sum(x * parent.occupancies[b].get(z, 0.0) for z, x in parent.occupancies[a].items())
                for a, b in zip(orbit_of[left], orbit_of[right], strict=True)
            ]
        )
        total += abs(float((full[left] == full[right]).mean() - expected)) / (1 + shell)
    return total
