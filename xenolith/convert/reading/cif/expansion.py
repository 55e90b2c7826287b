"""From the sites of an asymmetric unit to the atoms of a cell."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from xenolith.convert.reading.cif.operations import Operations
from xenolith.convert.reading.cif.sites import Site
from xenolith.crystal import Floats
from xenolith.elements import SYMBOLS
from xenolith.optional import require

__all__ = ["MERGED", "MERGED_ON_EVIDENCE", "SAME_PLACE", "Expanded", "coinciding", "crowding", "expand"]

MERGED = 0.15
"""Images of one site closer than this are one atom, Angstrom: no two atoms are so near."""
MERGED_ON_EVIDENCE = (0.25, 0.35, 0.5)
"""Further distances, tried in turn where formula or multiplicity say that there are fewer atoms."""
SAME_PLACE = 0.01
"""Sites closer than this are at one place, Angstrom."""
_TOLD = 2e-3
"""Images further apart than this, Angstrom, are told of."""
_TOLD_BEYOND_DIGITS = 2e-4
"""So are those further apart than this, if the digits that are written do not explain it: 0.4999 for 1/2."""
_ROUNDED = 1.99
"""Units of the last digit by which images of a place that was rounded or cut off are apart, at most."""
_AT_ONCE = 256


@dataclass(frozen=True, kw_only=True)
class Expanded:
    """All atoms of a cell."""

    owners: list[int]
    """Site of each atom."""
    positions: Floats
    """(N, 3) fractional."""
    spread: dict[int, float]
    """Largest distance of images that are taken as one atom, by site, Angstrom, if worth telling."""


def expand(sites: Sequence[Site], operations: Operations, lattice: Floats, merged: float) -> Expanded:
    """Apply the operations to every site; images within `merged` (Angstrom) are one atom, at their mean."""
    owners: list[int] = []
    positions: list[Floats] = []
    spread: dict[int, float] = {}
    for index, site in enumerate(sites):
        place = np.array(site.position)
        if operations.trivial:
            owners.append(index)
            positions.append(place)
            continue
        images = (operations.rotations @ place + operations.translations) % 1.0
        free = np.ones(len(images), dtype=bool)
        for first in range(len(images)):
            if not free[first]:
                continue
            shift = images - images[first]
            shift -= np.round(shift)
            members = free & (np.linalg.norm(shift @ lattice, axis=1) <= merged)
            free &= ~members
            owners.append(index)
            shift = shift[members]
            positions.append(images[first] + shift.mean(axis=0))
            largest = _diameter(shift @ lattice)
            explained = float(np.ptp(shift, axis=0).max()) < _ROUNDED * site.unit
            if largest > (_TOLD if explained else _TOLD_BEYOND_DIGITS):
                spread[index] = max(spread.get(index, 0.0), largest)
    return Expanded(owners=owners, positions=np.array(positions).reshape(-1, 3), spread=spread)


def coinciding(expanded: Expanded, lattice: Floats) -> list[tuple[int, int]]:
    """Return pairs of atoms of different sites at one place."""
    positions, owners = expanded.positions, np.array(expanded.owners)
    pairs: list[tuple[int, int]] = []
    for start in range(0, len(positions), _AT_ONCE):
        shift = positions[start : start + _AT_ONCE, None, :] - positions[None, :, :]
        shift -= np.round(shift)
        near = ((shift @ lattice) ** 2).sum(axis=-1) < SAME_PLACE**2
        near &= owners[start : start + _AT_ONCE, None] != owners[None, :]
        for row, column in np.argwhere(near):
            if row + start < column:
                pairs.append((int(row) + start, int(column)))
    return pairs


def crowding(numbers: Sequence[int], positions: Floats, lattice: Floats) -> float:
    """Return the shortest distance of two atoms in units of their covalent radii's sum; below 0.7 is odd."""
    gemmi: Any = require("gemmi", "pymatgen")
    if len(numbers) > 2000:
        return 0.0
    radii = np.array([gemmi.Element(SYMBOLS[z]).covalent_r for z in numbers])
    smallest = np.inf
    steps = np.array([(i, j, k) for i in (-1, 0, 1) for j in (-1, 0, 1) for k in (-1, 0, 1)], dtype=float)
    for row, place in enumerate(positions):
        shift = positions - place
        shift -= np.round(shift)
        distance = np.linalg.norm((shift[:, None, :] + steps[None]) @ lattice, axis=-1)
        distance[row, 13] = np.inf
        smallest = min(smallest, float((distance.min(axis=1) / (radii + radii[row])).min()))
    return smallest


def _diameter(points: Floats) -> float:
    """Largest distance of two points; of many that are all the same without comparing each with each."""
    around = float(np.abs(points - points.mean(axis=0)).max())
    if around < _TOLD / 10:
        return around
    return float(np.linalg.norm(points[:, None] - points[None], axis=-1).max())
