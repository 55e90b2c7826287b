"""A table of crystals in memory, as flat arrays, on reduced cells."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import numpy as np
import spglib
import torch
from numpy.typing import NDArray

from generator_svc.networks.autoencoder import CrystalTensors
from generator_svc.networks.ragged import Ragged
from xenolith.errors import InvalidArgumentError

__all__ = ["CrystalTable", "DataError", "cells_from_parameters", "niggli_cell", "niggli_cells"]


class DataError(InvalidArgumentError, ValueError):
    """A training file that does not fit; the message names the column and the fix."""


@dataclass(frozen=True, kw_only=True)
class CrystalTable:
    """Crystals as columns, on Niggli-reduced right-handed cells."""

    ids: NDArray[np.str_]
    """(S,) identifiers."""
    num_atoms: NDArray[np.int64]
    """(S,) int64."""
    lattices: NDArray[np.float32]
    """(S, 3, 3) float32 row vectors, Angstrom."""
    numbers: NDArray[np.int64]
    """(T,) int64 atomic numbers."""
    frac_coords: NDArray[np.float32]
    """(T, 3) float32 in [0, 1)."""
    scalars: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    """(S,) float32 of each labelled column read, in the file's unit; NaN where a crystal has no label."""

    def __len__(self) -> int:
        return len(self.num_atoms)

    @property
    def offsets(self) -> NDArray[np.int64]:
        """(S + 1,) start of each crystal's atoms."""
        return np.concatenate([[0], np.cumsum(self.num_atoms)])

    @property
    def digest(self) -> str:
        """SHA-256 of the crystals and their labels."""
        digest = hashlib.sha256()
        for column in (self.num_atoms, self.lattices, self.numbers, self.frac_coords):
            digest.update(np.ascontiguousarray(column).tobytes())
        for name in sorted(self.scalars):
            digest.update(name.encode())
            digest.update(np.ascontiguousarray(self.scalars[name]).tobytes())
        return digest.hexdigest()

    def take(self, rows: NDArray[np.int64]) -> CrystalTable:
        """The given crystals, in the given order."""
        atoms = self.atoms_of(rows)
        return CrystalTable(
            ids=self.ids[rows],
            num_atoms=self.num_atoms[rows],
            lattices=self.lattices[rows],
            numbers=self.numbers[atoms],
            frac_coords=self.frac_coords[atoms],
            scalars={name: values[rows] for name, values in self.scalars.items()},
        )

    def tensors(self, device: torch.device | str = "cpu") -> CrystalTensors:
        """The whole table as one packed batch."""
        return CrystalTensors(
            ragged=Ragged(torch.from_numpy(self.num_atoms).to(device)),
            numbers=torch.from_numpy(self.numbers).to(device),
            frac_coords=torch.from_numpy(self.frac_coords).to(device),
            lattice=torch.from_numpy(self.lattices).to(device),
        )

    def atoms_of(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Positions of the given crystals' atoms in the packed columns."""
        counts = self.num_atoms[rows]
        starts = self.offsets[:-1][rows]
        shift = np.repeat(starts - np.concatenate([[0], np.cumsum(counts)[:-1]]), counts)
        return np.arange(counts.sum()) + shift


def niggli_cell(
    cell: NDArray[np.float64], frac: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The same crystal on its right-handed Niggli cell.

    Parameters
    ----------
    cell
        (3, 3) row vectors, Angstrom, not singular.
    frac
        (N, 3) fractional coordinates.

    Returns
    -------
    The reduced cell (3, 3) and coordinates (N, 3) in [0, 1), atoms in the same order. A cell that the
    reduction does not converge on comes back as it was.
    """
    cells, coords = niggli_cells(cell[None], np.array([len(frac)]), frac)
    return cells[0], coords


def niggli_cells(
    cells: NDArray[np.float64], num_atoms: NDArray[np.int64], frac: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """`niggli_cell` of many crystals: (S, 3, 3), (S,) and (T, 3) to (S, 3, 3) and (T, 3)."""
    reduced = np.array(cells, dtype=float)
    for index, cell in enumerate(cells):
        found = spglib.niggli_reduce(cell, eps=1e-5)
        if found is not None:
            reduced[index] = found
    reduced[np.linalg.det(reduced) < 0] *= -1
    change = cells @ np.linalg.inv(reduced)
    coords = np.einsum("ai,aij->aj", frac, np.repeat(change, num_atoms, axis=0))
    return reduced, np.remainder(coords, 1.0)


def cells_from_parameters(parameters: NDArray[np.float64]) -> NDArray[np.float64]:
    """Row vectors (S, 3, 3), Angstrom, of lengths (Angstrom) and angles (degrees) (S, 6).

    Right-handed, c along z. Impossible angles give flat cells or NaN.
    """
    a, b, c = parameters[:, :3].T
    alpha, beta, gamma = np.radians(parameters[:, 3:]).T
    with np.errstate(divide="ignore", invalid="ignore"):
        cos_g = (np.cos(alpha) * np.cos(beta) - np.cos(gamma)) / (np.sin(alpha) * np.sin(beta))
        gamma_star = np.arccos(np.clip(cos_g, -1, 1))
    cells = np.zeros((len(parameters), 3, 3))
    cells[:, 0] = np.stack([a * np.sin(beta), np.zeros_like(a), a * np.cos(beta)], axis=1)
    cells[:, 1] = np.stack(
        [
            -b * np.sin(alpha) * np.cos(gamma_star),
            b * np.sin(alpha) * np.sin(gamma_star),
            b * np.cos(alpha),
        ],
        axis=1,
    )
    cells[:, 2, 2] = c
    return cells
