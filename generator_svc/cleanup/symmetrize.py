"""Snap a nearly symmetric crystal onto the symmetry it nearly has.

Every operation that spglib finds within the tolerance is applied to cell and atoms, and all images are
averaged (the Reynolds operator of the group): the result has the symmetry exactly, in the same cell, with
the same atoms in the same order.
"""

from __future__ import annotations

import numpy as np
import spglib
from numpy.typing import NDArray

from xenolith.crystal import Crystal

__all__ = ["symmetrize"]


def symmetrize(crystal: Crystal, tolerance: float) -> Crystal:
    """The crystal with the symmetry found within `tolerance` made exact.

    Parameters
    ----------
    crystal
        Finite, with a cell that is not singular.
    tolerance
        Angstrom, greater than 0; spglib's symprec.

    Returns
    -------
    A crystal of the same atoms in the same order and nearly the same cell. Comes back unchanged where spglib
    finds no symmetry beyond the identity, or operations that do not map the atoms one to one.
    """
    frac = np.remainder(crystal.frac_coords, 1.0)
    operations = _operations(crystal.lattice, frac, crystal.numbers, tolerance)
    if operations is None:
        return crystal
    rotations, translations = operations
    metric = crystal.lattice @ crystal.lattice.T
    averaged = np.mean(rotations.transpose(0, 2, 1) @ metric @ rotations, axis=0)
    moved = _average_sites(frac, crystal.numbers, metric, rotations, translations)
    if moved is None:
        return crystal
    return Crystal(
        lattice=_root(averaged) @ np.linalg.solve(_root(metric), crystal.lattice),
        numbers=crystal.numbers,
        frac_coords=np.remainder(moved, 1.0),
    )


def _operations(
    lattice: NDArray[np.float64], frac: NDArray[np.float64], numbers: NDArray[np.int32], tolerance: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Rotations (O, 3, 3) and translations (O, 3), or None where there is nothing to make exact."""
    try:
        dataset = spglib.get_symmetry_dataset(
            (lattice.tolist(), frac.tolist(), numbers.tolist()), symprec=tolerance
        )
    except spglib.SpglibError:
        return None
    if dataset is None or len(dataset.rotations) < 2:
        return None
    return np.asarray(dataset.rotations, dtype=float), np.asarray(dataset.translations)


def _average_sites(
    frac: NDArray[np.float64],
    numbers: NDArray[np.int32],
    metric: NDArray[np.float64],
    rotations: NDArray[np.float64],
    translations: NDArray[np.float64],
) -> NDArray[np.float64] | None:
    """(N, 3) mean of every site over the images that land on it; None if the images are no permutation."""
    images = np.einsum("oxy,ny->onx", rotations, frac) + translations[:, None]
    shift = images[:, :, None] - frac[None, None]
    shift -= np.round(shift)
    distance = np.einsum("onmx,xy,onmy->onm", shift, metric, shift)
    distance[:, numbers[:, None] != numbers[None]] = np.inf
    target = distance.argmin(axis=2)
    if not (np.sort(target, axis=1) == np.arange(len(frac))).all():
        return None
    operation = np.arange(len(rotations))[:, None]
    displacement = np.zeros_like(frac)
    np.add.at(displacement, target, shift[operation, np.arange(len(frac)), target])
    moved: NDArray[np.float64] = frac + displacement / len(rotations)
    return moved


def _root(metric: NDArray[np.float64]) -> NDArray[np.float64]:
    """Symmetric square root of a positive definite matrix."""
    values, vectors = np.linalg.eigh(metric)
    root: NDArray[np.float64] = (vectors * np.sqrt(values)) @ vectors.T
    return root
