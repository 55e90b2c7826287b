"""Denoiser of the latent diffusion: a DiT over the atoms of a crystal (arXiv 2212.09748, 2511.07158).

No atom index and no position enter: the network is permutation-equivariant, and all it knows of an atom is
its noisy latent. The atom count is embedded explicitly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from generator_svc.networks.conditions import (
    ConditionEmbedding,
    Conditions,
    ConditionsConfig,
    ScalarCondition,
)
from generator_svc.networks.element_prior import ElementPrior
from generator_svc.networks.modulation import modulated_norm
from generator_svc.networks.ragged import Ragged
from generator_svc.networks.transformer import AdaptiveBlock, attention_mask

__all__ = ["Denoiser", "DenoiserConfig", "denoiser_config", "time_features"]


@dataclass(frozen=True, kw_only=True)
class DenoiserConfig:
    """Size of the denoiser."""

    width: int = 192
    """Channels of every block."""
    heads: int = 6
    """Attention heads."""
    layers: int = 7
    """adaLN-Zero blocks."""
    latent_dim: int = 8
    """Numbers per atom."""
    max_atoms: int = 20
    """Largest atom count with an embedding."""
    time_features: int = 128
    """Sinusoids of the diffusion time."""
    conditions: ConditionsConfig | None = None
    """What samples can be conditioned on; absent: nothing."""


def denoiser_config(document: dict[str, Any]) -> DenoiserConfig:
    """Read what `dataclasses.asdict` made of a config, as a bundle's manifest and Describe carry it."""
    fields = dict(document)
    conditions = fields.pop("conditions", None)
    if conditions is None:
        return DenoiserConfig(**fields)
    scalars = tuple(ScalarCondition(**scalar) for scalar in conditions["scalars"])
    return DenoiserConfig(**fields, conditions=ConditionsConfig(**{**conditions, "scalars": scalars}))


class Denoiser(nn.Module):
    """Predicts the velocity v = alpha eps - sigma z_0 from noisy standardised latents (arXiv 2202.00512)."""

    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.embed = nn.Linear(config.latent_dim, width)
        self.time = nn.Sequential(nn.Linear(config.time_features, width), nn.SiLU(), nn.Linear(width, width))
        self.count = nn.Embedding(config.max_atoms + 1, width)
        self.conditions = None if config.conditions is None else ConditionEmbedding(config.conditions, width)
        self.element_prior: ElementPrior | None = None
        if config.conditions is not None and config.conditions.element_prior:
            elements = config.conditions.max_atomic_number
            self.element_prior = ElementPrior(elements, config.latent_dim, width)
        self.blocks = nn.ModuleList(AdaptiveBlock(width, config.heads) for _ in range(config.layers))
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.modulation = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, config.latent_dim)
        for last in (self.modulation, self.out):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def forward(
        self, latents: Tensor, time: Tensor, ragged: Ragged, condition: Conditions | None = None
    ) -> Tensor:
        """Velocity (T, latent_dim) of latents (T, latent_dim) at times (B,) in [0, 1].

        The embedding of `condition`, of B structures, is added to that of time and atom count; what its
        elements say of each latent, to the latent's own.
        """
        if condition is not None and self.conditions is None:
            raise ValueError("this denoiser was built without conditions; leave `condition` out")
        x = self.embed(latents).float()  # under autocast the sums over blocks keep their digits
        if condition is not None and self.element_prior is not None:
            x = x + self.element_prior(latents, time, ragged, condition)
        context, row = self._contexts(time, ragged, condition)
        layout, atoms, rows = ragged, None, ragged.expand(row)
        if x.device.type == "cpu":
            layout, atoms = ragged.by_size
        if atoms is not None:
            x, rows = x.index_select(0, atoms), rows[atoms]
        mask = attention_mask(layout)
        for block in self.blocks:
            x = block(x, context, rows, layout, mask)
        shift, scale = self.modulation(F.silu(context)).chunk(2, dim=-1)
        velocity = self.out(modulated_norm(x, shift, scale, rows, self.norm.eps)).float()
        return velocity if atoms is None else torch.zeros_like(velocity).index_copy(0, atoms, velocity)

    def _contexts(self, time: Tensor, ragged: Ragged, condition: Conditions | None) -> tuple[Tensor, Tensor]:
        """(K, width) embeddings of what differs between structures beside latents, and each one's (B,) row.

        The modulations of structures that share time, atom count and condition are computed once: those of a
        sampler's step differ in little else than their atom count.
        """
        num_atoms, row = ragged.num_atoms, torch.arange(ragged.size, device=time.device)
        if time.device.type == "cpu":
            row, first = _distinct(time, num_atoms, condition)
            time, num_atoms = time[first], num_atoms[first]
            condition = None if condition is None else condition.take(first)
        context = self.time(time_features(time, self.config.time_features)) + self.count(num_atoms)
        if condition is not None and self.conditions is not None:
            context = context + self.conditions(condition, Ragged(num_atoms))
        return context, row


def _distinct(time: Tensor, num_atoms: Tensor, condition: Conditions | None) -> tuple[Tensor, Tensor]:
    """(B,) which of K distinct inputs each structure has, and (K,) a structure that has it."""
    keys = torch.stack([time, num_atoms.to(time.dtype)], dim=1)
    if condition is not None:
        keys = torch.cat([keys, condition.table.to(time.dtype)], dim=1)
    distinct, row = keys.unique(dim=0, return_inverse=True)
    index = torch.arange(len(row))
    return row, row.new_empty(len(distinct)).scatter_reduce_(0, row, index, "amin", include_self=False)


def time_features(time: Tensor, size: int) -> Tensor:
    """(B,) times in [0, 1] to (B, size) sinusoids of 1000 t with geometric frequencies."""
    half = size // 2
    frequencies = torch.exp(-math.log(10_000) * torch.arange(half, device=time.device) / half)
    angle = 1000 * time[:, None] * frequencies
    return torch.cat([angle.cos(), angle.sin()], dim=-1)
