"""Taking the noise out of crystals, step by step along falling noise levels.

Nothing is drawn: a decoded crystal is taken to have noise of the first level, and always comes out alike.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor

from generator_svc.finisher.network import Finisher
from generator_svc.finisher.noise import SMALLEST_NOISE, displace
from generator_svc.networks.autoencoder import CrystalTensors
from generator_svc.turns import Turns, finished

__all__ = ["denoise", "finish", "finish_in_turns", "noise_levels"]

_FLATTEST = 1e-3
"""Smallest volume over the product of the cell's lengths; flatter cells have no sensible images."""
_DENSEST, _LONGEST = 2.0, 1e3
"""Angstrom^3 per atom and Angstrom; crystals that are denser, or of longer cells, are none."""
_MOST_NOISE = 5.0
"""Standard deviations: larger noise is none, and a network that predicts it may tear no crystal apart."""
_AT_ONCE = 64
"""Crystals computed together: more need memory and save no time."""


def noise_levels(start: float, steps: int) -> list[float]:
    """`steps` + 1 levels, Angstrom: falling geometrically from `start` to the smallest, then 0."""
    falling = torch.logspace(0, 1, steps, base=min(1.0, SMALLEST_NOISE / start), dtype=torch.float64)
    return [*(start * falling).tolist(), 0.0]


def finish(network: Finisher, crystals: CrystalTensors, levels: Sequence[float]) -> CrystalTensors:
    """Take noise off a packed batch; what has no sound cell, or would lose it, stays as it is.

    Parameters
    ----------
    crystals
        Of any sizes; those of one size are computed together.
    levels
        Angstrom, falling; the crystals are taken to have noise of the first.
    """
    return finished(finish_in_turns(network, crystals, levels))


@torch.no_grad()
def finish_in_turns(
    network: Finisher, crystals: CrystalTensors, levels: Sequence[float]
) -> Turns[CrystalTensors]:
    """As `finish`, pausing after every evaluation of the network so that others can have their turn."""
    counts = crystals.ragged.num_atoms
    starts = counts.cumsum(0) - counts
    frac, lattice = crystals.frac_coords.clone(), crystals.lattice.clone()
    good = _sound(crystals.lattice, counts)
    for count in counts[good].unique().tolist():
        for rows in (good & (counts == count)).nonzero().squeeze(1).split(_AT_ONCE):
            atoms = starts[rows, None] + torch.arange(count, device=rows.device)
            coords, cells = yield from denoise_in_turns(
                network, crystals.numbers[atoms], frac[atoms], lattice[rows], levels
            )
            kept = _sound(cells, counts[rows]) & coords.flatten(1).isfinite().all(1)
            frac[atoms[kept]], lattice[rows[kept]] = coords[kept], cells[kept]
    return CrystalTensors(ragged=crystals.ragged, numbers=crystals.numbers, frac_coords=frac, lattice=lattice)


def denoise(
    network: Finisher, numbers: Tensor, frac_coords: Tensor, lattice: Tensor, levels: Sequence[float]
) -> tuple[Tensor, Tensor]:
    """Crystals of one atom count, (B, N), (B, N, 3) and (B, 3, 3), along the levels from first to last."""
    return finished(denoise_in_turns(network, numbers, frac_coords, lattice, levels))


@torch.no_grad()
def denoise_in_turns(
    network: Finisher, numbers: Tensor, frac_coords: Tensor, lattice: Tensor, levels: Sequence[float]
) -> Turns[tuple[Tensor, Tensor]]:
    """As `denoise`, pausing after every level."""
    for now, after in itertools.pairwise(levels):
        noise = lattice.new_full(lattice.shape[:1], now)
        positions, cell = network(numbers, frac_coords, lattice, noise)
        positions, cell = _bounded(positions, (2,)), _bounded(cell, (1, 2))
        change = torch.full_like(noise, after - now)
        frac_coords, lattice = displace(frac_coords, lattice, positions, cell, change)
        yield
    return torch.remainder(frac_coords, 1.0), lattice


def _bounded(noise: Tensor, axes: tuple[int, ...]) -> Tensor:
    """Noise scaled down where its norm over the axes is beyond all likelihood, 0 where not finite."""
    noise = noise.nan_to_num(0.0, 0.0, 0.0)
    norm = noise.square().sum(axes, keepdim=True).sqrt()
    return noise * (_MOST_NOISE / norm.clamp_min(_MOST_NOISE))


def _sound(lattice: Tensor, num_atoms: Tensor) -> Tensor:
    """(B,) whether cells are finite, neither flat nor absurdly dense or long."""
    volume, lengths = torch.linalg.det(lattice).abs(), lattice.norm(dim=2)
    flat = volume < _FLATTEST * lengths.prod(1)
    fits = (volume > _DENSEST * num_atoms) & (lengths.amax(1) < _LONGEST)
    return volume.isfinite() & ~flat & fits
