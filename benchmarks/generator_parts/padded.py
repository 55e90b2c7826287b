"""The generator's work done the way a dense implementation does it, for `benchmarks/generator.py`.

Same weights, same mathematics, other layout: every structure is padded to the largest atom count of its
batch and every layer runs over the padding, sampling keeps one dense trajectory tensor for each step, and
the autoencoder is read from disk whenever something is decoded. Blocks are those of the published DiT
(arXiv 2212.09748): every structure's modulations broadcast over its slots, attention with a mask.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional as F

from generator_svc.diffusion.sampler import SamplerSettings, Transition, log_density, noise, transition
from generator_svc.networks.autoencoder import CrystalTensors
from generator_svc.networks.conditions import Conditions
from generator_svc.networks.denoiser import Denoiser, time_features
from generator_svc.networks.ragged import Ragged
from generator_svc.networks.transformer import AdaptiveBlock, attention_mask
from generator_svc.storage.bundle import LoadedBundle
from generator_svc.storage.finished import load_autoencoder


class PaddedDenoiser:
    """A denoiser's velocity with every layer run over padded structures."""

    def __init__(self, denoiser: Denoiser) -> None:
        self.denoiser = denoiser

    def __call__(
        self, latents: Tensor, time: Tensor, ragged: Ragged, conditions: Conditions | None = None
    ) -> Tensor:
        """Unconditional velocity (T, latent_dim) of packed latents; packing happens at the two ends only."""
        net = self.denoiser
        full = Ragged(torch.full_like(ragged.num_atoms, ragged.max_atoms))
        x = net.embed(ragged.pad(latents))
        context = net.time(time_features(time, net.config.time_features)) + net.count(ragged.num_atoms)
        mask = attention_mask(ragged)
        for block in net.blocks:
            x = self._block(cast("AdaptiveBlock", block), x, context, full, mask)
        shift, scale = net.modulation(F.silu(context))[:, None].chunk(2, dim=-1)
        return ragged.pack(net.out(net.norm(x) * (1 + scale) + shift))

    @staticmethod
    def _block(block: AdaptiveBlock, x: Tensor, context: Tensor, full: Ragged, mask: Tensor | None) -> Tensor:
        """(B, M, d) to (B, M, d), as the published DiT writes it: modulations broadcast over slots."""
        parts = block.modulation(F.silu(context))[:, None].chunk(6, dim=-1)
        shift1, scale1, gate1, shift2, scale2, gate2 = parts
        normed = (block.norm1(x) * (1 + scale1) + shift1).flatten(0, 1)
        x = x + gate1 * block.attention(normed, full, mask).view_as(x)
        return x + gate2 * block.mlp(block.norm2(x) * (1 + scale2) + shift2)


@torch.no_grad()
def sample(
    denoiser: Denoiser, num_atoms: Sequence[int], seeds: Sequence[int], settings: SamplerSettings
) -> Tensor:
    """(T, latent_dim) final latents; every step's dense state is kept beside them, as a trainer would."""
    device = next(denoiser.parameters()).device
    ragged = Ragged(torch.tensor(list(num_atoms), device=device))
    draws = noise(num_atoms, seeds, settings.steps, denoiser.config.latent_dim).to(device)
    latents, kept = draws[0], [ragged.pad(draws[0])]
    for index in range(settings.steps):
        step = torch.full((ragged.size,), index, device=device)
        policy = transition(PaddedDenoiser(denoiser), latents, step, ragged, settings)
        latents = policy.mean + ragged.expand(policy.std[:, None]) * draws[index + 1]
        kept.append(ragged.pad(latents))
        log_density(latents, policy, ragged)
    return latents


def decode(loaded: LoadedBundle, latents: Tensor, num_atoms: Sequence[int]) -> CrystalTensors:
    """Crystals of normalised latents, with the autoencoder read from disk first."""
    autoencoder = load_autoencoder(loaded.bundle.path).to(latents.device)
    ragged = Ragged(torch.tensor(list(num_atoms), device=latents.device))
    return autoencoder.decode(loaded.restore(latents), ragged)


def log_probs(
    denoiser: Denoiser,
    states: Tensor,
    after: Tensor,
    steps: Tensor,
    ragged: Ragged,
    settings: SamplerSettings,
) -> Tensor:
    """(B,) log-density of each structure's step from `states` to `after`, each (T, latent_dim)."""
    policy: Transition = transition(PaddedDenoiser(denoiser), states, steps, ragged, settings)
    return log_density(after, policy, ragged)
