"""Variance of the policy gradient, with groups and without: whether grouping pays, measured in every step.

With r_i the reward of sample i, b_i what it is compared with, and s_i the gradient of its log-likelihood (on
the forward process of minus the error that stands for it), the policy gradient is the mean of
g_i = (r_i - b_i) s_i, and its variance over samples, summed over all trained weights, is estimated from M of
them as

    V = sum_i |g_i - g|^2 / (M - 1),    g = sum_i g_i / M.

With groups b_i is the mean reward of the sample's group, without it is that of the whole step. Both estimate
the same gradient, so the smaller V learns more from as many samples; advantages are compared as they are
before any scaling. It takes M samples drawn anew in each step, at one time (one denoising step) each, and a
backward pass for each of them (0.3 s of one core for eight, with the network that ships); nothing else of the
step depends on it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from trainer_svc.rewards.measurements import FloatColumn

__all__ = ["GradientVariance", "flat_gradient", "gradient_variance"]


@dataclass(frozen=True, kw_only=True)
class GradientVariance:
    """Variance of the policy gradient, summed over weights, in squared rewards per squared weight."""

    grouped: float
    """Each sample compared with its group."""
    ungrouped: float
    """Each sample compared with the whole step."""


def gradient_variance(
    score: Callable[[int], Tensor],
    rewards: FloatColumn,
    groups: NDArray[np.int64],
    *,
    samples: int,
    seed: int,
) -> GradientVariance | None:
    """Estimate both variances; None for fewer than two samples.

    Parameters
    ----------
    score
        Gradient of a sample's log-likelihood over all trained weights, (W,), by the sample's index.
    rewards, groups
        (B,) of all samples of the step.
    samples
        M, at most B.
    seed
        Fixes which are drawn.
    """
    count = min(samples, len(rewards))
    if count < 2:
        return None
    means = {int(group): float(rewards[groups == group].mean()) for group in np.unique(groups)}
    baselines = np.array([means[int(group)] for group in groups]), np.full(len(rewards), rewards.mean())
    chosen = np.random.default_rng(seed).choice(len(rewards), size=count, replace=False)
    squares = [0.0, 0.0]
    sums: list[Tensor | float] = [0.0, 0.0]
    for index in sorted(chosen.tolist()):
        gradient = score(index)
        size = float(gradient.square().sum())
        for kind, baseline in enumerate(baselines):
            advantage = float(rewards[index] - baseline[index])
            squares[kind] += advantage**2 * size
            sums[kind] = sums[kind] + advantage * gradient
    grouped, ungrouped = (
        (square - float(torch.as_tensor(total).square().sum()) / count) / (count - 1)
        for square, total in zip(squares, sums, strict=True)
    )
    return GradientVariance(grouped=grouped, ungrouped=ungrouped)


def flat_gradient(value: Tensor, network: nn.Module) -> Tensor:
    """Return the gradient of () a value over a network's trained weights: (W,)."""
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    parts = torch.autograd.grad(value, weights, allow_unused=True)
    pairs = zip(weights, parts, strict=True)
    return torch.cat([(torch.zeros_like(w) if part is None else part).flatten() for w, part in pairs])
