"""Shares of a batch that make each headline, and their intervals."""

import numpy as np
from numpy.typing import NDArray

from trainer_svc.rewards.measurements import Measurements
from xenolith.headlines import flags_of
from xenolith.intervals import Estimate, bootstrap

__all__ = ["estimates", "shares"]


def shares(measured: Measurements) -> dict[str, float]:
    """Share of the batch that makes each headline, in [0, 1]."""
    return {name: float(flags.mean()) for name, flags in flags_of(measured).items()}


def estimates(
    measured: Measurements, *, resamples: int, seed: int, among: NDArray[np.bool_] | None = None
) -> dict[str, Estimate]:
    """Shares with 95 % bootstrap intervals.

    Structures are resampled with their flags fixed: uniqueness is a property of the batch that was sampled.
    Those that (B,) `among` says false to make no headline, and stay in the denominator.
    """
    kept = np.ones(len(measured), dtype=bool) if among is None else among
    return {
        name: bootstrap(flags & kept, resamples=resamples, seed=seed)
        for name, flags in flags_of(measured).items()
    }
