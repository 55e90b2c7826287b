"""Exponential moving average of a network's weights: what is saved, loaded and sampled from."""

from __future__ import annotations

import copy
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

__all__ = ["Ema", "Network"]

Network = TypeVar("Network", bound=nn.Module)


class Ema(Generic[Network]):
    """Averaged copy of a network, in evaluation mode."""

    def __init__(self, model: Network, decay: float) -> None:
        self.decay = decay
        self.model = copy.deepcopy(model).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Move the average toward `model`; early steps use a shorter memory."""
        decay = min(self.decay, (1 + step) / (10 + step))
        ours: list[Tensor] = list(self.model.parameters())
        torch._foreach_lerp_(ours, [p.detach() for p in model.parameters()], 1 - decay)
        for mine, theirs in zip(self.model.buffers(), model.buffers(), strict=True):
            mine.copy_(theirs)
