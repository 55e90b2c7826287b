"""Numbers that a trained predictor reads of a crystal: the calculator's embedding and its composition."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

from xenolith.crystal import CrystalBatch
from xenolith.elements import SYMBOLS

__all__ = ["composition_features", "element_table"]

_FROM_PYMATGEN = (
    "X",
    "group",
    "row",
    "atomic_radius",
    "mendeleev_no",
    "electron_affinity",
    "ionization_energy",
)
_FILLING = tuple(
    "1s 2s 2p 3s 3p 4s 3d 4p 5s 4d 5p 6s 4f 5d 6p 7s 5f 6d 7p".split()  # noqa: SIM905  # a list is longer
)
_CAPACITY = {"s": 2, "p": 6, "d": 10, "f": 14}
_NOBLE_GASES = (2, 10, 18, 36, 54, 86)
_KNOWN_TO = 94
"""Elements beyond plutonium are in no training set; their unknown entries get the mean of the known ones."""


def element_table() -> NDArray[np.float32]:
    """Return (119, 11) float32 properties of the elements by atomic number; row 0 is zero.

    Electronegativity, group, row, radius, Mendeleev number, electron affinity and ionisation energy as in
    pymatgen, and the electrons outside the noble-gas core in s, p, d and f shells. What is unknown has the
    mean of its column.
    """
    from pymatgen.core import Element

    rows = [_of_pymatgen(Element.from_Z(z)) + _shells(z) for z in range(1, len(SYMBOLS))]
    table = np.array(rows, dtype=np.float64)
    mean = np.nanmean(table[:_KNOWN_TO], axis=0)
    table = np.where(np.isfinite(table), table, mean)
    return np.vstack([np.zeros(table.shape[1]), table]).astype(np.float32)


def composition_features(crystals: CrystalBatch, table: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return (B, 118 + 4 P + 3) float64: fractions, statistics of element properties, and of the cell.

    The statistics of each of the P columns of `table` are mean, standard deviation, smallest and largest. Of
    the cell: logarithm of the volume per atom (Angstrom^3), whether the number of electrons is odd, and the
    logarithm of the number of atoms.
    """
    count = len(crystals)
    fractions = np.zeros((count, len(SYMBOLS)))
    rows = np.repeat(np.arange(count), crystals.num_atoms)
    np.add.at(fractions, (rows, crystals.numbers), 1.0)
    electrons = fractions @ np.arange(len(SYMBOLS))
    fractions /= crystals.num_atoms[:, None]
    values = table.astype(np.float64)
    mean = fractions @ values
    deviation = np.sqrt(np.maximum(fractions @ values**2 - mean**2, 0.0))
    first = crystals.offsets[:-1]
    atoms = values[crystals.numbers]
    low, high = np.minimum.reduceat(atoms, first), np.maximum.reduceat(atoms, first)
    volumes = np.abs(np.linalg.det(crystals.lattices)) / crystals.num_atoms
    cell = [np.log(volumes), electrons % 2, np.log(crystals.num_atoms)]
    return np.hstack([fractions[:, 1:], mean, deviation, low, high, np.column_stack(cell)])


def _of_pymatgen(element: object) -> list[float]:
    values = []
    for name in _FROM_PYMATGEN:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pymatgen warns of every value it does not know
            try:
                value = getattr(element, name)
            except KeyError:  # of some heavy elements it has no entry at all
                value = None
        values.append(float("nan") if value is None else float(value))
    return values


def _shells(z: int) -> list[float]:
    """Electrons outside the noble-gas core in s, p, d, f, by the order in which shells fill."""
    core = max((gas for gas in _NOBLE_GASES if gas < z), default=0)
    outside = dict.fromkeys(_CAPACITY, 0)
    placed = 0
    for shell in _FILLING:
        electrons = min(z - placed, _CAPACITY[shell[1]])
        if placed >= core:
            outside[shell[1]] += max(electrons, 0)
        placed += max(electrons, 0)
    return [float(count) for count in outside.values()]
