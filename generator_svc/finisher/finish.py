"""Taking the noise out of crystals, step by step along falling noise levels.

Nothing is drawn: a decoded crystal is taken to have noise of the first level, and always comes out alike.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor

from generator_svc.finisher.network import Finisher
from generator_svc.finisher.noise import displace
from generator_svc.networks.autoencoder import CrystalTensors

SMALLEST_NOISE = 0.02
"""Angstrom, the last noise level: less is thermal motion."""
_FLATTEST = 1e-3
"""Smallest volume over the product of the cell's lengths; flatter cells have no sensible images."""
_DENSEST = 0.5
"""Angstrom^3 per atom; denser crystals are none."""


def noise_levels(start: float, steps: int) -> list[float]:
    """`steps` + 1 levels, Angstrom: falling geometrically from `start` to the smallest, then 0."""
    falling = torch.logspace(0, 1, steps, base=min(1.0, SMALLEST_NOISE / start), dtype=torch.float64)
    return [*(start * falling).tolist(), 0.0]


@torch.no_grad()
def finish(network: Finisher, crystals: CrystalTensors, levels: Sequence[float]) -> CrystalTensors:
    """Take noise off a packed batch; what has no sound cell, or would lose it, stays as it is.

    Parameters
    ----------
    crystals : of any sizes; those of one size are computed together.
    levels : Angstrom, falling; the crystals are taken to have noise of the first.
    """
    counts = crystals.ragged.num_atoms
    starts = counts.cumsum(0) - counts
    frac, lattice = crystals.frac_coords.clone(), crystals.lattice.clone()
    good = _sound(crystals.lattice, counts)
    for count in counts[good].unique().tolist():
        rows = (good & (counts == count)).nonzero().squeeze(1)
        atoms = starts[rows, None] + torch.arange(count, device=rows.device)
        coords, cells = denoise(network, crystals.numbers[atoms], frac[atoms], lattice[rows], levels)
        kept = _sound(cells, counts[rows]) & coords.flatten(1).isfinite().all(1)
        frac[atoms[kept]], lattice[rows[kept]] = coords[kept], cells[kept]
    return CrystalTensors(ragged=crystals.ragged, numbers=crystals.numbers, frac_coords=frac, lattice=lattice)


@torch.no_grad()
def denoise(
    network: Finisher, numbers: Tensor, frac_coords: Tensor, lattice: Tensor, levels: Sequence[float]
) -> tuple[Tensor, Tensor]:
    """Crystals of one atom count, (B, N), (B, N, 3) and (B, 3, 3), along the levels from first to last."""
    for now, after in itertools.pairwise(levels):
        noise = lattice.new_full(lattice.shape[:1], now)
        positions, cell = network(numbers, frac_coords, lattice, noise)
        change = torch.full_like(noise, after - now)
        frac_coords, lattice = displace(frac_coords, lattice, positions, cell, change)
    return torch.remainder(frac_coords, 1.0), lattice


def _sound(lattice: Tensor, num_atoms: Tensor) -> Tensor:
    """(B,) whether cells are finite, not flat and not absurdly dense."""
    volume = torch.linalg.det(lattice).abs()
    flat = volume < _FLATTEST * lattice.norm(dim=2).prod(1)
    return volume.isfinite() & ~flat & (volume > _DENSEST * num_atoms)
