"""The time that the matrix products of the real atoms alone would take."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import nn

from benchmarks.generator_parts.timing import Setup, interleaved
from generator_svc.model.denoiser import DenoiserConfig


def matrix_products(config: DenoiserConfig, counts: Sequence[int]) -> list[tuple[int, int, int]]:
    """(m, k, n) of every matrix product of one forward pass over the real atoms."""
    atoms, structures, width = sum(counts), len(counts), config.width
    block = [
        (structures, width, 6 * width),
        (atoms, width, 3 * width),
        (atoms, width, width),
        (atoms, width, 4 * width),
        (atoms, 4 * width, width),
    ]
    ends = [
        (atoms, config.latent_dim, width),
        (structures, width, 2 * width),
        (atoms, width, config.latent_dim),
    ]
    return block * config.layers + ends


def floor(setup: Setup, config: DenoiserConfig, counts: Sequence[int]) -> float:
    """Seconds of one forward pass's matrix products, each timed at its own shape, attention left out."""
    total = 0.0
    shapes = matrix_products(config, counts)
    for shape in sorted(set(shapes)):
        m, k, n = shape
        a, b = torch.randn(m, k, device=setup.device), torch.randn(n, k, device=setup.device)
        once = interleaved(setup, partial(_three_times, nn.functional.linear, a, b))[0] / 3
        total += once * shapes.count(shape)
    return total


def _three_times(action: Callable[..., Any], *arguments: Any) -> None:
    for _ in range(3):
        action(*arguments)
