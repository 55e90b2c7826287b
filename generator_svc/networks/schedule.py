"""Variance-preserving cosine schedule (arXiv 2102.09672) in continuous time.

z_t = alpha(t) z_0 + sigma(t) eps with alpha = cos(pi t / 2), sigma = sin(pi t / 2); t = 0 is data, 1 noise.
The network predicts v = alpha eps - sigma z_0 (arXiv 2202.00512), which stays well defined at t = 1.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["SCHEDULE", "alpha_sigma", "time_grid"]

SCHEDULE = "cosine"
"""Name of the schedule, as models are described by it."""


def alpha_sigma(time: Tensor) -> tuple[Tensor, Tensor]:
    """Signal and noise scale at times in [0, 1], same shape."""
    angle = time * (math.pi / 2)
    return angle.cos(), angle.sin()


def time_grid(steps: int, device: torch.device | None = None) -> Tensor:
    """(steps + 1,) times from 1 to 0, evenly spaced."""
    return torch.linspace(1.0, 0.0, steps + 1, device=device)
