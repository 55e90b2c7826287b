"""The finisher's noise: Gaussian displacements in Angstrom, and with them a symmetric strain of the cell."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from generator_svc.networks.geometry import exact

__all__ = ["LARGEST_NOISE", "SMALLEST_NOISE", "STRAIN", "Noisy", "add_noise", "displace"]

SMALLEST_NOISE, LARGEST_NOISE = 0.02, 5.0
"""Angstrom: less is thermal motion, and more leaves nothing of where the atoms of a cell were."""
STRAIN = 0.12
"""Standard deviation of the strain's diagonal for each Angstrom of noise on the positions."""


@dataclass(frozen=True)
class Noisy:
    """Crystals of one atom count with noise, and that noise in units of its scale."""

    frac_coords: Tensor
    """(B, N, 3)."""
    lattice: Tensor
    """(B, 3, 3) row vectors, Angstrom."""
    positions: Tensor
    """(B, N, 3) standard normal displacements along x, y, z, without their mean over atoms."""
    cell: Tensor
    """(B, 3, 3) symmetric, of unit variance on the diagonal and half of it beside."""


@exact
def add_noise(frac_coords: Tensor, lattice: Tensor, noise: Tensor) -> Noisy:
    """Strain cells, with their atoms, and then displace the atoms.

    Parameters
    ----------
    frac_coords, lattice
        (B, N, 3) and (B, 3, 3), Angstrom.
    noise
        (B,) Angstrom, standard deviation of the displacements.
    """
    positions = torch.randn_like(frac_coords)
    positions = positions - positions.mean(1, keepdim=True)
    square = torch.randn_like(lattice)
    cell = (square + square.transpose(1, 2)) / 2
    return Noisy(*displace(frac_coords, lattice, positions, cell, noise), positions, cell)


@exact
def displace(
    frac_coords: Tensor, lattice: Tensor, positions: Tensor, cell: Tensor, amount: Tensor
) -> tuple[Tensor, Tensor]:
    """Crystals moved along a noise by `amount` (B,) Angstrom, negative to take noise away."""
    strained = lattice @ torch.matrix_exp(STRAIN * amount[:, None, None] * cell)
    return frac_coords + amount[:, None, None] * positions @ torch.linalg.inv(strained), strained
