"""The finisher's network: from a noisy crystal with known elements to the noise on positions and cell.

Transformer blocks whose attention is biased by distances, with messages along bonds. Beside its scalars every
atom carries vectors and symmetric tensors, so that bond angles are seen; all operations on those commute with
rotations. Crystals of a batch have one atom count: nothing is padded.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from generator_svc.finisher.surroundings import HARMONICS, TENSOR, VECTOR, surroundings, symmetric_matrix

__all__ = ["Finisher", "FinisherBlock", "FinisherConfig", "tensor_norm", "turn"]

_FREQUENCIES = 16
_PAIR_WIDTH = 64


@dataclass(frozen=True, kw_only=True)
class FinisherConfig:
    """Size of the network."""

    width: int = 128
    """Scalars of an atom; a multiple of heads."""
    layers: int = 4
    heads: int = 8
    channels: int = 32
    """Vectors, and symmetric tensors, of an atom; a multiple of heads."""
    radial: int = 16
    """Radial functions of a distance."""
    cutoff: float = 6.0
    """Angstrom, beyond which atoms do not see each other's distance."""
    max_atomic_number: int = 100

    def __post_init__(self) -> None:
        for name, value in (("width", self.width), ("channels", self.channels)):
            if value % self.heads:
                raise ValueError(f"{name} ({value}) must be a multiple of heads ({self.heads})")


class FinisherBlock(nn.Module):
    """Attention biased by distances and messages along bonds, then a feed-forward layer that sees angles."""

    def __init__(self, config: FinisherConfig) -> None:
        super().__init__()
        width, channels, self.heads = config.width, config.channels, config.heads
        self.sizes = [width, width, width, channels, 2 * channels]
        mixed = config.radial * channels
        self.norm1 = nn.LayerNorm(width, elementwise_affine=False)
        self.norm2 = nn.LayerNorm(width, elementwise_affine=False)
        self.mix = nn.Linear(width, sum(self.sizes))
        self.scalar_message = nn.Linear(mixed, width)
        self.vector_message = nn.Linear(mixed, channels, bias=False)
        self.tensor_message = nn.Linear(mixed, channels, bias=False)
        self.out = nn.Linear(2 * width, width)
        self.vector_carry = nn.Linear(channels, channels, bias=False)
        self.tensor_carry = nn.Linear(channels, channels, bias=False)
        self.vector_pair = nn.Linear(channels, 2 * channels, bias=False)
        self.tensor_pair = nn.Linear(channels, 2 * channels, bias=False)
        self.turned = nn.Linear(channels, channels, bias=False)
        self.mlp = nn.Sequential(
            nn.Linear(width + 3 * channels, 3 * width),
            nn.GELU(approximate="tanh"),
            nn.Linear(3 * width, width),
        )
        self.modulation = nn.Linear(width, 6 * width)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)

    def forward(
        self, h: Tensor, x: Tensor, around: Tensor, bias: Tensor, condition: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Scalars (B, N, d) and vectors with tensors (B, N, 9, C) to the same.

        `around` is (B, 10 K N, N): all sums about the atoms that see, of each atom that is seen; `bias` is
        (B, heads, N, N), `condition` (B, d).
        """
        batch, atoms, _ = h.shape
        shift1, scale1, gate1, shift2, scale2, gate2 = self.modulation(condition)[:, None].chunk(6, dim=-1)
        query, key, value, sent, gates = self.mix(self.norm1(h) * (1 + scale1) + shift1).split(
            self.sizes, dim=-1
        )
        query, key, value = (t.unflatten(-1, (self.heads, -1)).transpose(1, 2) for t in (query, key, value))
        weights = (query @ key.transpose(2, 3) / math.sqrt(query.shape[-1]) + bias).softmax(dim=-1)
        attended = (weights @ value).transpose(1, 2).flatten(2)
        carried = tensor_norm(x).unflatten(-1, (self.heads, -1)).permute(0, 3, 1, 2, 4).flatten(3)
        carried = (weights @ carried).unflatten(-1, (9, -1)).permute(0, 2, 3, 1, 4).flatten(3)
        message = (around @ sent).view(batch, atoms, HARMONICS, -1)
        of_scalars, of_vectors, of_tensors = message.split([1, 3, 6], dim=2)
        scalars = self.scalar_message(of_scalars.squeeze(2))
        h = h + gate1 * self.out(torch.cat([attended, scalars], dim=-1))
        vector_gate, tensor_gate = gates[:, :, None].chunk(2, dim=-1)
        vectors, tensors = x.split([3, 6], dim=2)
        vectors = vectors + vector_gate * self.vector_message(of_vectors)
        carried_vectors, carried_tensors = carried.split([3, 6], dim=2)
        vectors = vectors + self.vector_carry(carried_vectors)
        tensors = tensors + tensor_gate * self.tensor_message(of_tensors)
        tensors = tensors + self.tensor_carry(carried_tensors)
        one, other = self.vector_pair(tensor_norm(vectors)).chunk(2, dim=-1)
        first, second = self.tensor_pair(tensor_norm(tensors)).chunk(2, dim=-1)
        turned = turn(first, one)
        seen = [(one * other).sum(2), (first * second).sum(2), (turned * other).sum(2)]
        vectors = vectors + self.turned(turned)
        normed = self.norm2(h) * (1 + scale2) + shift2
        h = h + gate2 * self.mlp(torch.cat([normed, *seen], dim=-1))
        return h, torch.cat([vectors, tensors], dim=2)


class Finisher(nn.Module):
    """Predicts the noise on positions and cell of crystals of one atom count."""

    def __init__(self, config: FinisherConfig) -> None:
        super().__init__()
        self.config = config
        width, channels = config.width, config.channels
        self.elements = nn.Embedding(config.max_atomic_number + 1, width)
        self.condition = nn.Sequential(
            nn.Linear(2 * _FREQUENCIES + 2, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU()
        )
        self.bias = nn.Sequential(
            nn.Linear(config.radial, 2 * config.heads),
            nn.SiLU(),
            nn.Linear(2 * config.heads, config.heads * config.layers),
        )
        self.blocks = nn.ModuleList(FinisherBlock(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.modulation = nn.Linear(width, 2 * width)
        self.left, self.right = nn.Linear(width, _PAIR_WIDTH), nn.Linear(width, _PAIR_WIDTH)
        self.distances = nn.Linear(config.radial, _PAIR_WIDTH)
        self.pair = nn.Linear(_PAIR_WIDTH, 2 * config.radial)
        self.atom = nn.Linear(width, 2 * channels + 1)
        for layer in (self.modulation, self.pair):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(
        self, numbers: Tensor, frac_coords: Tensor, lattice: Tensor, noise: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Noise on positions (B, N, 3) and cell (B, 3, 3), each in units of its own scale.

        Parameters
        ----------
        numbers
            (B, N) int64 atomic numbers.
        frac_coords
            (B, N, 3).
        lattice
            (B, 3, 3) row vectors, Angstrom.
        noise
            (B,) Angstrom, standard deviation of the noise on positions.
        """
        config, atoms = self.config, numbers.shape[1]
        around = surroundings(frac_coords, lattice, radial=config.radial, cutoff=config.cutoff)
        bias = (
            self.bias(around[:, :, :, 0]).unflatten(-1, (config.layers, config.heads)).permute(3, 0, 4, 1, 2)
        )
        flat = around.flatten(2).transpose(1, 2)
        device = flat.device.type
        if torch.is_autocast_enabled(device):
            flat = flat.to(torch.get_autocast_dtype(device))
        condition = self.condition(_condition(noise, lattice, atoms))
        h = self.elements(numbers)
        x = flat.new_zeros(*numbers.shape, 9, config.channels)
        for block, bias_of_block in zip(self.blocks, bias, strict=True):
            h, x = block(h, x, flat, bias_of_block, condition)
        shift, scale = self.modulation(condition)[:, None].chunk(2, dim=-1)
        h = self.norm(h) * (1 + scale) + shift
        pair = self.left(h)[:, None] + self.right(h)[:, :, None] + self.distances(around[:, :, :, 0])
        along, across = self.pair(F.silu(pair)).to(lattice.dtype).chunk(2, dim=-1)
        vector_weight, tensor_weight, volume = (
            self.atom(h).to(lattice.dtype).split([config.channels, config.channels, 1], dim=-1)
        )
        x = tensor_norm(x.to(lattice.dtype))
        positions = torch.einsum("bjimk,bjik->bim", around[:, :, :, VECTOR], along)
        positions = positions + (x[:, :, :3] * vector_weight[:, :, None]).sum(-1)
        positions = positions - positions.mean(1, keepdim=True)
        cell = torch.einsum("bjimk,bjik->bm", around[:, :, :, TENSOR], across) / atoms
        cell = cell + (x[:, :, 3:] * tensor_weight[:, :, None]).sum(-1).mean(1)
        unit = torch.eye(3, dtype=cell.dtype, device=cell.device)
        return positions, symmetric_matrix(cell) + volume.mean(1)[:, None] * unit


def tensor_norm(x: Tensor) -> Tensor:
    """(..., M, C) vectors or tensors, divided by the root of 1 + their mean square norm: they never grow."""
    return x * torch.rsqrt(1 + x.square().sum(-2, keepdim=True).mean(-1, keepdim=True))


def turn(tensor: Tensor, vector: Tensor) -> Tensor:
    """Symmetric tensors (..., 6, C) applied to vectors (..., 3, C), channel by channel."""
    xx, yy, zz, xy, xz, yz = tensor.unbind(-2)
    x, y, z = vector.unbind(-2)
    root = math.sqrt(0.5)
    return torch.stack(
        [
            xx * x + root * (xy * y + xz * z),
            yy * y + root * (xy * x + yz * z),
            zz * z + root * (xz * x + yz * y),
        ],
        dim=-2,
    )


def _condition(noise: Tensor, lattice: Tensor, atoms: int) -> Tensor:
    """(B, 2 F + 2): logarithm of the noise as waves, logarithms of atom count and volume per atom."""
    frequencies = torch.logspace(-1, math.log10(4.0), _FREQUENCIES, dtype=noise.dtype, device=noise.device)
    angle = noise.log()[:, None] * frequencies
    volume = torch.linalg.det(lattice).abs().clamp_min(1e-3) / atoms
    size = torch.full_like(volume, math.log(atoms))
    return torch.cat([angle.sin(), angle.cos(), torch.stack([size - 2, volume.log() - 3], dim=1)], dim=1)
