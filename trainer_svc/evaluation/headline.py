"""Shares of a batch that make each headline, and their intervals."""

import numpy as np
from numpy.typing import NDArray

from trainer_svc.rewards.measurements import Measurements
from xenolith.headlines import HEADLINES, flags_of
from xenolith.intervals import Estimate, bootstrap

__all__ = ["estimates", "measured_flags", "shares"]


def measured_flags(measured: Measurements) -> dict[str, NDArray[np.bool_]]:
    """Which structures make each headline that the oracle could measure: name -> (B,).

    A headline is left out if no structure has what it needs although some are valid: an oracle without a
    hull, or without known structures, says nothing of stability or novelty. Where all structures are invalid,
    none makes it.
    """
    some_valid = bool((measured.column("valid") == 1.0).any())
    flags = flags_of(measured)
    return {
        metric.name: flags[metric.name]
        for metric in HEADLINES
        if not (some_valid and metric.missing(measured))
    }


def shares(measured: Measurements) -> dict[str, float]:
    """Share of the batch that makes each headline, in [0, 1]; without those that could not be measured."""
    return {name: float(flags.mean()) for name, flags in measured_flags(measured).items()}


def estimates(
    measured: Measurements, *, resamples: int, seed: int, among: NDArray[np.bool_] | None = None
) -> dict[str, Estimate]:
    """Shares with 95 % bootstrap intervals; without those that could not be measured.

    Structures are resampled with their flags fixed: uniqueness is a property of the batch that was sampled.
    Those that (B,) `among` says false to make no headline, and stay in the denominator.
    """
    kept = np.ones(len(measured), dtype=bool) if among is None else among
    return {
        name: bootstrap(flags & kept, resamples=resamples, seed=seed)
        for name, flags in measured_flags(measured).items()
    }
