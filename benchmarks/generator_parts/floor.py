"""Sampling beside the matrix products of the real atoms alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import nn

from benchmarks.generator_parts.timing import Setup, interleaved
from generator_svc.diffusion.sampler import SamplerSettings, sample
from generator_svc.networks.denoiser import Denoiser, DenoiserConfig


def matrix_products(
    config: DenoiserConfig, counts: Sequence[int], contexts: int
) -> list[tuple[int, int, int]]:
    """(m, k, n) of every matrix product of one forward pass over the real atoms and their `contexts`."""
    atoms, width = sum(counts), config.width
    block = [
        (contexts, width, 6 * width),
        (atoms, width, 3 * width),
        (atoms, width, width),
        (atoms, width, 4 * width),
        (atoms, 4 * width, width),
    ]
    ends = [
        (atoms, config.latent_dim, width),
        (contexts, width, 2 * width),
        (atoms, width, config.latent_dim),
    ]
    return block * config.layers + ends


def floor_ratio(setup: Setup, denoiser: Denoiser, counts: Sequence[int]) -> float:
    """How many times as long a sampler step takes as its matrix products, attention left out.

    Each product is timed at its own shape, in turns with the step.
    """
    settings, seeds = SamplerSettings(steps=setup.timed_steps), list(range(len(counts)))
    contexts = len(set(counts)) if setup.device.type == "cpu" else len(counts)
    shapes = matrix_products(denoiser.config, counts, contexts)
    kinds = sorted(set(shapes))
    products = [partial(_three_times, _product(shape, setup.device)) for shape in kinds]
    steps, *taken = interleaved(setup, partial(sample, denoiser, counts, seeds, settings), *products)
    floor = sum(once / 3 * shapes.count(shape) for shape, once in zip(kinds, taken, strict=True))
    return steps / setup.timed_steps / floor


def _product(shape: tuple[int, int, int], device: torch.device) -> Callable[[], torch.Tensor]:
    m, k, n = shape
    a, b = torch.randn(m, k, device=device), torch.randn(n, k, device=device)
    return partial(nn.functional.linear, a, b)


def _three_times(action: Callable[[], object]) -> None:
    for _ in range(3):
        action()
