"""Advantages: how much better a structure did than its own group."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainer_svc.algorithms.learning import AdvantageScale
from trainer_svc.rewards.measurements import FloatColumn

__all__ = ["Advantages", "compute_advantages"]

_ZERO_DEVIATION = 1e-6


@dataclass(frozen=True, kw_only=True)
class Advantages:
    """Advantages of B structures in groups."""

    values: FloatColumn
    """(B,) clipped advantages; 0 in dropped groups."""
    dropped: tuple[int, ...]
    """Groups without any spread of rewards: they say nothing and are left out of the update."""
    clipped: int
    """How many values met the clip."""


def compute_advantages(
    rewards: FloatColumn,
    groups: NDArray[np.int64],
    *,
    std: AdvantageScale = "batch",
    clip: float = 5.0,
    negative_scale: float = 1.0,
) -> Advantages:
    """Subtract the group's mean reward, scale, clip.

    Parameters
    ----------
    rewards
        (B,) finite rewards.
    groups
        (B,) group of each structure.
    std
        ``group`` divides by the group's own deviation (GRPO), ``batch`` by the deviation of all centred
        rewards (keeps harder groups comparable, REINFORCE++), ``none`` does not divide (Dr. GRPO).
    clip
        Bound of the absolute advantage.
    negative_scale
        Factor of what is below 0 after that.

    Raises
    ------
    ValueError
        If a reward is not finite.
    """
    if not np.isfinite(rewards).all():
        raise ValueError("rewards must be finite; compute_rewards gives floors to failed structures")
    centred, deviations = np.zeros_like(rewards), {}
    for group in np.unique(groups):
        members = groups == group
        centred[members] = rewards[members] - rewards[members].mean()
        deviations[int(group)] = float(rewards[members].std())
    dropped = tuple(group for group, deviation in deviations.items() if deviation < _ZERO_DEVIATION)
    kept = ~np.isin(groups, dropped)
    scaled = np.where(kept, centred / _scale(std, centred[kept], deviations, groups), 0.0)
    clipped = np.clip(scaled, -clip, clip)
    tempered = np.where(clipped < 0.0, negative_scale * clipped, clipped)
    return Advantages(values=tempered, dropped=dropped, clipped=int((clipped != scaled).sum()))


def _scale(
    std: AdvantageScale, kept: FloatColumn, deviations: dict[int, float], groups: NDArray[np.int64]
) -> FloatColumn:
    if std == "group":
        scale = np.array([deviations[int(group)] for group in groups])
    elif std == "batch":
        # Centred per group, so the root mean square is the pooled within-group deviation.
        scale = np.full(len(groups), np.sqrt(np.mean(kept**2)) if kept.size else 1.0)
    else:
        scale = np.ones(len(groups))
    return np.maximum(scale, _ZERO_DEVIATION)
