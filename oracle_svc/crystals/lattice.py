"""Lattices and their bases: reduction, primitive cells, and the maps of one lattice onto another.

All of it in float64, for cells of row vectors in Angstrom.
"""

from __future__ import annotations

import math
from itertools import product

import numpy as np
from numpy.typing import NDArray

from oracle_svc.crystals.sites import Sites, wrapped

__all__ = ["lattice_maps", "primitive_cell", "reduce_lattice"]

_MAX_STEPS = 200
_PROBES = 4
"""Atoms of an element that are tried before all are."""
_COEFFICIENTS = np.array(list(product(range(-2, 3), repeat=3)), dtype=np.float64)


def reduce_lattice(lattice: NDArray[np.float64]) -> NDArray[np.float64]:
    """Minkowski-reduced basis of the lattice: the shortest possible, nearly orthogonal vectors.

    Semaev's greedy algorithm in three dimensions (Nguyen and Stehle, "Low-dimensional lattice basis reduction
    revisited", 2009): reduce the two shortest vectors, then the longest against the plane of both.

    Parameters
    ----------
    lattice
        (3, 3) row vectors, Angstrom; finite and not singular.
    """
    basis = np.array(lattice, dtype=np.float64)
    for _ in range(_MAX_STEPS):
        basis = basis[np.argsort(_norms(basis), kind="stable")]
        basis[:2] = _reduce_pair(basis[0], basis[1])
        shortened = basis[2] - _closest_in_plane(basis[0], basis[1], basis[2])
        if shortened @ shortened >= (basis[2] @ basis[2]) * (1.0 - 1e-12):
            break
        basis[2] = shortened
    return basis


def primitive_cell(
    lattice: NDArray[np.float64],
    numbers: NDArray[np.int64],
    frac_coords: NDArray[np.float64],
    *,
    tolerance: float,
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    """Smallest cell of the crystal, on a Minkowski-reduced basis.

    Parameters
    ----------
    lattice, numbers, frac_coords
        The crystal: (3, 3) Angstrom, (N,), (N, 3).
    tolerance
        Largest distance between an atom and its translated twin, Angstrom.

    Returns
    -------
    lattice, numbers, frac_coords
        (3, 3), (n,), (n, 3), with n dividing N and fractional coordinates in [0, 1).
    """
    basis = reduce_lattice(lattice)
    frac = wrapped(frac_coords @ lattice @ np.linalg.inv(basis))
    translations, orbits = _translations(basis, numbers, frac, tolerance)
    finer = _lattice_with(translations)
    if finer is None:
        return basis, numbers.copy(), frac
    keep = np.unique(orbits)
    primitive = reduce_lattice(finer @ basis)
    return primitive, numbers[keep], wrapped(frac[keep] @ basis @ np.linalg.inv(primitive))


def lattice_maps(
    source: NDArray[np.float64], target: NDArray[np.float64], *, tolerance: float
) -> NDArray[np.float64]:
    """Bases of the target's lattice that are congruent to the source's basis: at most 48.

    Parameters
    ----------
    source, target
        (3, 3) Minkowski-reduced bases, Angstrom.
    tolerance
        Largest difference of corresponding lengths, Angstrom.

    Returns
    -------
    (M, 3, 3) integer coefficients of the congruent bases in the target's basis, simplest first; rotations and
    reflections both count.
    """
    vectors = _COEFFICIENTS @ target
    lengths = _norms(vectors)
    wanted = _norms(source)
    choices = [np.flatnonzero(np.abs(lengths - length) <= tolerance) for length in wanted]
    if any(len(choice) == 0 for choice in choices):
        return np.zeros((0, 3, 3), dtype=np.float64)
    products = vectors @ vectors.T
    slack = 2.0 * tolerance * float(wanted.max())
    first, second = np.meshgrid(choices[0], choices[1], indexing="ij")
    fits = np.abs(products[first, second] - source[0] @ source[1]) <= slack
    pairs = np.stack([first[fits], second[fits]], axis=1)
    third = choices[2]
    agree = (np.abs(products[pairs[:, 0]][:, third] - source[0] @ source[2]) <= slack) & (
        np.abs(products[pairs[:, 1]][:, third] - source[1] @ source[2]) <= slack
    )
    rows, columns = np.nonzero(agree)
    triples = np.concatenate([pairs[rows], third[columns][:, None]], axis=1)
    maps = _COEFFICIENTS[triples]
    return maps[np.argsort(np.abs(maps - np.eye(3)).sum(axis=(1, 2)), kind="stable")]


def _reduce_pair(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Gauss reduction of two vectors, the shorter first."""
    for _ in range(_MAX_STEPS):
        b = b - np.round((a @ b) / (a @ a)) * a
        if b @ b >= (a @ a) * (1.0 - 1e-12):
            break
        a, b = b, a
    return np.stack([a, b])


def _closest_in_plane(
    a: NDArray[np.float64], b: NDArray[np.float64], c: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Vector of the lattice of a and b that is closest to c; a and b are reduced."""
    aa, ab, bb, ca, cb = a @ a, a @ b, b @ b, c @ a, c @ b
    determinant = aa * bb - ab * ab
    x, y = (ca * bb - cb * ab) / determinant, (cb * aa - ca * ab) / determinant
    corners = [i * a + j * b for i in (math.floor(x), math.ceil(x)) for j in (math.floor(y), math.ceil(y))]
    return min(corners, key=lambda corner: float((c - corner) @ (c - corner)))


def _translations(
    basis: NDArray[np.float64], numbers: NDArray[np.int64], frac: NDArray[np.float64], tolerance: float
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Translations inside the cell that map the crystal onto itself, and the orbit of each atom under them.

    The orbit's name is its lowest atom index. Only translations that join atoms of the rarest element can
    exist, and their number divides every element's count. They form a group: what follows from those already
    found is not looked for, so that a large supercell of a small cell takes few searches.
    """
    trivial = np.zeros((1, 3)), np.arange(len(numbers))
    species, counts = np.unique(numbers, return_counts=True)
    if math.gcd(*counts.tolist()) == 1:
        return trivial
    rarest = np.flatnonzero(numbers == species[np.argmin(counts)])
    order = np.argsort(numbers, kind="stable")
    blocks = np.split(order, np.cumsum(counts)[:-1])
    sites = [(block, Sites(basis, frac[block])) for block in sorted(blocks, key=len)]
    anchor = rarest[0]
    images = np.arange(len(numbers))[None]
    for other in rarest[1:]:
        if (images[:, anchor] == other).any():
            continue
        moved = frac + (frac[other] - frac[anchor])
        if all(on.under(moved[block][:_PROBES], tolerance) for block, on in sites) and all(
            on.under(moved[block], tolerance) for block, on in sites
        ):
            image = np.empty(len(frac), dtype=np.int64)
            for block, on in sites:
                image[block] = block[on.nearest(moved[block])]
            images = _generated(images, image, anchor)
    return frac[images[:, anchor]] - frac[anchor], images.min(axis=0)


def _generated(images: NDArray[np.int64], image: NDArray[np.int64], anchor: int) -> NDArray[np.int64]:
    """(G, N) the group of translations, as the atoms that atoms land on, after one more has been found."""
    cosets = [images]
    power = image
    while len(cosets) <= len(image) and not (images[:, anchor] == power[anchor]).any():
        cosets.append(power[images])
        power = image[power]
    return np.concatenate(cosets)


def _lattice_with(translations: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Basis, in cell coordinates, of the lattice with these translations; None if it is no finer one.

    n translations form a group, so n times each is a lattice vector and everything is exact in integers. A
    set that is no group (it met the tolerance by luck) is refused: the cell stays as it is.
    """
    n = len(translations)
    if n == 1:
        return None
    rows = np.round(translations * n).astype(np.int64)
    if float(np.abs(translations * n - rows).max()) > 0.01 * n:
        return None
    hermite = _hermite_basis([list(map(int, row)) for row in rows] + (n * np.eye(3, dtype=int)).tolist())
    if abs(hermite[0][0] * hermite[1][1] * hermite[2][2]) * n != n**3:
        return None
    return np.array(hermite, dtype=np.float64) / n


def _hermite_basis(rows: list[list[int]]) -> list[list[int]]:
    """Upper triangular basis of the integer lattice the rows span (rank three)."""
    basis: list[list[int]] = []
    for column in range(3):
        while True:
            rows.sort(key=lambda row: (row[column] == 0, abs(row[column])))
            pivot = rows[0]
            if all(row[column] == 0 for row in rows[1:]):
                break
            for row in rows[1:]:
                factor = row[column] // pivot[column]
                row[:] = [value - factor * unit for value, unit in zip(row, pivot, strict=True)]
        basis.append(rows.pop(0))
        rows = [row for row in rows if any(row)]
    return basis


def _norms(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
