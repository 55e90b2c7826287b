"""Prior of each atom's latent given the wanted elements, so that a denoiser need not learn it from scratch.

Every element's latents are summed up by a mean and a variance per channel over the training crystals. At
time t, a noisy latent z then says which of the wanted elements its atom may be: under element k, z is
Gaussian around alpha mu_k with variance sigma^2 + alpha^2 var_k. The expected mu under these weights, with
the wanted composition as prior, enters the denoiser beside the latent through a layer that starts at zero.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from generator_svc.networks.conditions import Conditions
from generator_svc.networks.ragged import Ragged
from generator_svc.networks.schedule import alpha_sigma

__all__ = ["ElementPrior"]


class ElementPrior(nn.Module):
    """Expected latent of each atom given the wanted elements, as an input of the denoiser."""

    mean: Tensor
    variance: Tensor

    def __init__(self, elements: int, latent_dim: int, width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(elements, latent_dim))
        self.register_buffer("variance", torch.ones(elements, latent_dim))
        self.project = nn.Linear(2 * latent_dim, width)
        nn.init.zeros_(self.project.weight)
        nn.init.zeros_(self.project.bias)

    def forward(self, latents: Tensor, time: Tensor, ragged: Ragged, conditions: Conditions) -> Tensor:
        """(T, width) of latents (T, L) at times (B,); zero for structures that want no elements."""
        has_composition = conditions.carried[:, 0:1]
        wanted = torch.where(has_composition, conditions.composition, conditions.chemical_system)
        asked = ragged.expand(conditions.carried[:, :2].any(dim=1, keepdim=True))
        with torch.autocast(latents.device.type, enabled=False):  # squares of small differences
            features = self._features(latents.float(), time.float(), ragged, ragged.expand(wanted))
        projected = self.project(features)
        return torch.where(asked, projected, torch.zeros_like(projected))

    def _features(self, latents: Tensor, time: Tensor, ragged: Ragged, wanted: Tensor) -> Tensor:
        alpha, sigma = (ragged.expand(x[:, None, None]) for x in alpha_sigma(time))
        variance = sigma.square() + alpha.square() * self.variance
        distance = (latents[:, None] - alpha * self.mean).square() / variance + variance.log()
        log_weight = wanted.clamp_min(1e-12).log() - 0.5 * distance.sum(dim=-1)
        # Not minus infinity: atoms without wanted elements would become NaN, and their gradient with them.
        weight = log_weight.masked_fill(wanted <= 0, -1e9).softmax(dim=-1)
        expected = weight @ self.mean
        return torch.cat([expected, alpha[:, 0] * latents - expected], dim=-1)
