"""Networks that predict one number per crystal: from its latents, and from its composition alone."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from generator_svc.networks.ragged import Ragged

__all__ = ["CompositionHead", "HeadConfig", "PropertyHead"]


@dataclass(frozen=True, kw_only=True)
class HeadConfig:
    """Size of a predictor."""

    width: int = 128
    """Channels of every layer."""
    pools: int = 4
    """Weighted means over the atoms, with weights the network chooses, beside the plain one."""
    dropout: float = 0.1
    """Share of the pooled channels that training leaves out."""


class PropertyHead(nn.Module):
    """One number per crystal from per-atom features; what it gives is standardised until `value`.

    Parameters
    ----------
    config
        Its size.
    features
        Channels of every atom that are plain numbers.
    elements
        Channels behind them that are probabilities of elements 1, 2, ..., which get learnt vectors:
        what an element is counts for most, and the latent's code tells it poorly.
    """

    feature_mean: Tensor
    feature_std: Tensor
    target_mean: Tensor
    target_std: Tensor

    def __init__(self, config: HeadConfig, features: int, elements: int = 0) -> None:
        super().__init__()
        width = config.width
        self.config, self.features, self.elements = config, features, elements
        for name, start in (("feature_mean", torch.zeros(features)), ("feature_std", torch.ones(features))):
            self.register_buffer(name, start)
        for name, start in (("target_mean", torch.zeros(())), ("target_std", torch.ones(()))):
            self.register_buffer(name, start)
        self.element = nn.Linear(elements, width, bias=False) if elements else None
        if self.element is not None:
            nn.init.normal_(self.element.weight)
        inputs = features + (width if elements else 0)
        self.atom = nn.Sequential(nn.Linear(inputs, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU())
        self.weight = nn.Linear(width, config.pools)
        self.out = nn.Sequential(
            nn.LayerNorm((1 + config.pools) * width + 1),
            nn.Dropout(config.dropout),
            nn.Linear((1 + config.pools) * width + 1, width),
            nn.SiLU(),
            nn.Linear(width, width),
            nn.SiLU(),
            nn.Linear(width, 1),
        )

    def forward(self, features: Tensor, ragged: Ragged) -> Tensor:
        """(B,) standardised predictions of atoms (T, features + elements)."""
        plain, elements = features.split([self.features, self.elements], dim=-1)
        given = (plain - self.feature_mean) / self.feature_std
        if self.element is not None:
            given = torch.cat([given, self.element(elements)], dim=-1)
        x = self.atom(given)
        weights = self.weight(x).float().sigmoid() + 1e-3
        weights = weights / ragged.expand(ragged.sum(weights))
        pooled = [ragged.mean(x)] + [ragged.sum(weights[:, k : k + 1] * x) for k in range(self.config.pools)]
        count = ragged.num_atoms[:, None].to(x.dtype).log()
        return self.out(torch.cat([*pooled, count], dim=-1)).squeeze(-1).float()

    def value(self, features: Tensor, ragged: Ragged) -> Tensor:
        """(B,) predictions in the unit of the labels."""
        return self.forward(features, ragged) * self.target_std + self.target_mean

    def standardise(self, labels: Tensor) -> Tensor:
        """Labels as `forward` gives them."""
        return (labels - self.target_mean) / self.target_std


class CompositionHead(nn.Module):
    """The same head on learnt vectors of the elements: what the composition alone says, as a baseline."""

    def __init__(self, config: HeadConfig, max_atomic_number: int = 100) -> None:
        super().__init__()
        self.element = nn.Embedding(max_atomic_number + 1, config.width)
        self.head = PropertyHead(config, config.width)

    def forward(self, numbers: Tensor, ragged: Ragged) -> Tensor:
        """(B,) standardised predictions of atomic numbers (T,)."""
        return self.head(self.element(numbers), ragged)
