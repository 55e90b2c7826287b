"""The GRPO objective on denoising steps: clipped surrogate plus closed-form divergence to a reference."""

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["LossInputs", "LossOutputs", "gaussian_kl", "grpo_loss"]


@dataclass(frozen=True, kw_only=True)
class LossInputs:
    """R rows, each one denoising step of one structure."""

    log_prob: Tensor
    """(R,) under the policy being trained, averaged over atoms x channels; carries the gradient."""
    old_log_prob: Tensor
    """(R,) under the policy that sampled, as the generator reported it."""
    advantage: Tensor
    """(R,) advantage of the row's structure."""
    kl: Tensor
    """(R,) divergence to the reference; zeros when it is switched off."""
    scale: Tensor
    """(R,) factor of the log-ratio; ones, or what puts all denoising steps on one scale."""


@dataclass(frozen=True, kw_only=True)
class LossOutputs:
    """Sums over rows, so that micro-batches add up to their minibatch."""

    loss: Tensor
    """() what is differentiated."""
    policy: Tensor
    """() clipped surrogate, detached."""
    kl: Tensor
    """() divergence, detached."""
    ratio: Tensor
    """(R,) importance ratios before any scaling, detached."""
    clipped: Tensor
    """(R,) bool, rows whose gradient the clip stopped."""


def grpo_loss(inputs: LossInputs, *, clip_low: float, clip_high: float, kl_weight: float) -> LossOutputs:
    """Evaluate the clipped surrogate with an asymmetric range.

    Parameters
    ----------
    inputs
        R rows.
    clip_low, clip_high
        The ratio is clipped to ``[1 - clip_low, 1 + clip_high]`` (DAPO, arXiv 2503.14476).
    kl_weight
        Weight of the divergence term.

    Returns
    -------
    LossOutputs
        Sums over the rows; divide by the minibatch's number of rows for means.
    """
    log_ratio = inputs.log_prob - inputs.old_log_prob
    ratio = torch.exp(inputs.scale * log_ratio)
    bounded = torch.clamp(ratio, 1.0 - clip_low, 1.0 + clip_high)
    free, held = ratio * inputs.advantage, bounded * inputs.advantage
    policy = -torch.minimum(free, held).sum()
    kl = inputs.kl.sum()
    return LossOutputs(
        loss=policy + kl_weight * kl,
        policy=policy.detach(),
        kl=kl.detach(),
        ratio=torch.exp(log_ratio.detach()),
        clipped=(held < free).detach(),
    )


def gaussian_kl(mean: Tensor, reference: Tensor, std: Tensor) -> Tensor:
    """Divergence between two Gaussians of equal, known deviation, averaged over dimensions.

    Parameters
    ----------
    mean, reference
        (P, C) means of the policy and of the reference.
    std
        (P, 1) common deviation, above 0.

    Returns
    -------
    (P,) Tensor
        ``mean_c (mean - reference)^2 / (2 std^2)`` for each atom.
    """
    return ((mean - reference) / std).square().mean(dim=-1) / 2.0
