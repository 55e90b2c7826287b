"""Surroundings of every atom of a periodic crystal: sums over all images of its neighbours within a cutoff.

For atoms i and j the features are sums over the periodic images of j of R_k(r) Y_m(u), where r is the
distance in Angstrom, u the direction, R_k radial functions that vanish at the cutoff, and Y the ten Cartesian
harmonics of order 0, 1 and 2. They depend neither on which cell describes the crystal nor on its origin.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from generator_svc.networks.geometry import exact

__all__ = [
    "HARMONICS",
    "TENSOR",
    "VECTOR",
    "harmonics",
    "radial_functions",
    "surroundings",
    "symmetric_matrix",
]

HARMONICS = 10
"""1, then x, y, z, then xx - 1/3, yy - 1/3, zz - 1/3 and sqrt(2) times xy, xz, yz, all of a unit vector."""
VECTOR, TENSOR = slice(1, 4), slice(4, 10)
"""Where the harmonics of order 1 and 2 are."""
_MOST_IMAGES = 4
"""Images along an axis that are looked at; only cells flatter than 1.5 Angstrom have more within 6.5."""
_CLOSEST = 1e-2
"""Nearer pairs, Angstrom, have no direction and count as none."""
_DECAY = 0.4
"""Per Angstrom: the radial functions are evenly spaced in exp(-r / 2.5 Angstrom), densest at bond lengths."""
_TYPICAL = 4.0
"""Scale of sums over neighbours."""
_NEAREST = 0.7
"""Angstrom at which the first radial function is centred."""


@exact
@torch.no_grad()
def surroundings(frac_coords: Tensor, lattice: Tensor, *, radial: int, cutoff: float) -> Tensor:
    """Features of all pairs of atoms in crystals of one size.

    Parameters
    ----------
    frac_coords
        (B, N, 3).
    lattice
        (B, 3, 3) row vectors, Angstrom, not singular.
    radial
        How many radial functions K.
    cutoff
        Angstrom.

    Returns
    -------
    (B, N, N, 10, K): of atom j (second axis) as seen by atom i (third axis), directions from i to j.
    """
    batch, atoms, _ = frac_coords.shape
    difference = frac_coords[:, :, None] - frac_coords[:, None]
    difference = (difference - difference.round()).flatten(1, 2) @ lattice
    shifts = _images(difference, lattice, cutoff)
    square = (
        difference.square().sum(-1)[:, :, None]
        + 2 * difference @ shifts.transpose(1, 2)
        + shifts.square().sum(-1)[:, None]
    )
    near = (square < cutoff**2) & (square > _CLOSEST**2)
    crystal, pair, image = near.nonzero(as_tuple=True)
    vector = difference[crystal, pair] + shifts[crystal, image]
    distance = vector.norm(dim=-1, keepdim=True)
    rows = harmonics(vector / distance)[:, :, None] * radial_functions(distance, radial, cutoff)[:, None]
    ends = near.sum(-1).flatten().cumsum(0)
    offsets = torch.cat([ends.new_zeros(1), ends[:-1]])
    index = torch.arange(len(rows), device=rows.device)
    summed = F.embedding_bag(index, rows.flatten(1), offsets, mode="sum")
    return summed.view(batch, atoms, atoms, HARMONICS, radial)


def harmonics(direction: Tensor) -> Tensor:
    """(E, 3) unit vectors to (E, 10); a rotation of the vectors rotates orders 1 and 2 within themselves."""
    x, y, z = direction.unbind(-1)
    root = math.sqrt(2)
    ones = torch.ones_like(x)
    third = 1 / 3
    second = [x * x - third, y * y - third, z * z - third, root * x * y, root * x * z, root * y * z]
    return torch.stack([ones, x, y, z, *second], dim=-1)


def radial_functions(distance: Tensor, size: int, cutoff: float) -> Tensor:
    """(E, 1) Angstrom to (E, size): Gaussians of exp(-r / 2.5 Angstrom), smoothly 0 at the cutoff."""
    first, last = math.exp(-_DECAY * cutoff), math.exp(-_DECAY * _NEAREST)
    centres = torch.linspace(first, last, size, dtype=distance.dtype, device=distance.device)
    width = (last - first) / (size - 1)
    gaussians = torch.exp(-(((torch.exp(-_DECAY * distance) - centres) / width) ** 2) / 2)
    return gaussians * ((torch.cos(distance * (math.pi / cutoff)) + 1) / (2 * _TYPICAL))


def symmetric_matrix(tensor: Tensor) -> Tensor:
    """(..., 6) components of order 2 to symmetric matrices (..., 3, 3)."""
    xx, yy, zz, xy, xz, yz = (tensor * tensor.new_tensor([1, 1, 1, *[1 / math.sqrt(2)] * 3])).unbind(-1)
    return torch.stack([xx, xy, xz, xy, yy, yz, xz, yz, zz], dim=-1).unflatten(-1, (3, 3))


def _images(difference: Tensor, lattice: Tensor, cutoff: float) -> Tensor:
    """(B, M, 3) lattice vectors that may bring a pair within the cutoff; fewer: the rest is far away."""
    inverse = torch.linalg.inv(lattice)
    reach = torch.floor(cutoff * inverse.norm(dim=1) + 0.5).clamp_max(_MOST_IMAGES)
    ranges = [torch.arange(-most, most + 1) for most in reach.amax(0).int().tolist()]
    steps = torch.cartesian_prod(*ranges).to(lattice)
    shifts = steps @ lattice
    longest = difference.square().sum(-1).amax(1).sqrt()
    useful = (steps.abs() <= reach[:, None]).all(-1)
    useful &= shifts.square().sum(-1) < (cutoff + longest[:, None]).square()
    order = useful.float().argsort(dim=1, descending=True, stable=True)[:, : int(useful.sum(1).max())]
    shifts = shifts.gather(1, order[..., None].expand(-1, -1, 3))
    return shifts.masked_fill(~useful.gather(1, order)[..., None], 1e4)
