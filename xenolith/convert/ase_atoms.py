"""Crystals from and to ``ase.Atoms``."""

from typing import TYPE_CHECKING, Any

import numpy as np

from xenolith.convert.periodicity import expect_periodic
from xenolith.crystal import Crystal
from xenolith.optional import require

if TYPE_CHECKING:
    from ase import Atoms

__all__ = ["from_ase", "notes_of_ase", "to_ase"]


def from_ase(atoms: "Atoms", *, periodic: bool = False) -> Crystal:
    """Return the crystal of periodic ASE atoms.

    Positions are taken into fractional coordinates without wrapping. A cell that cannot be inverted gives NaN
    coordinates: it is data, which a service answers with a status.

    Parameters
    ----------
    periodic
        Take atoms too whose ``pbc`` says that they are not periodic in all three directions.

    Raises
    ------
    ReadError
        They are not, and were not to be taken.
    """
    expect_periodic(atoms.pbc, periodic)
    cell = np.asarray(atoms.cell.array, dtype=np.float64)
    positions = np.asarray(atoms.positions, dtype=np.float64).reshape(-1, 3)
    try:
        frac = np.linalg.solve(cell.T, positions.T).T.astype(np.float64, copy=False)
    except np.linalg.LinAlgError:
        frac = np.full_like(positions, np.nan)
    return Crystal(lattice=cell, numbers=np.asarray(atoms.numbers, dtype=np.int32), frac_coords=frac)


def notes_of_ase(atoms: "Atoms") -> tuple[str, ...]:
    """Return what `from_ase` assumes of atoms that it takes as periodic."""
    note = expect_periodic(atoms.pbc, True)
    return (note,) if note else ()


def to_ase(crystal: Crystal, info: dict[str, Any] | None = None) -> "Atoms":
    """Return periodic ASE atoms; `info` becomes their ``info``.

    Raises
    ------
    MissingExtraError
        If ASE is not installed.
    """
    ase: Any = require("ase", "ase")
    return ase.Atoms(
        numbers=crystal.numbers,
        cell=crystal.lattice,
        scaled_positions=crystal.frac_coords,
        pbc=True,
        info=dict(info or {}),
    )
