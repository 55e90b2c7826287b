"""The headline metrics, defined once; shares are of all n samples, failed ones included."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainer_svc.rewards.measurements import Measurements
from xenolith.intervals import wilson
from xenolith.thresholds import METASTABLE_BELOW, STABLE_UP_TO

__all__ = [
    "Estimate",
    "bootstrap",
    "estimates",
    "headline_flags",
    "shares",
]

Flags = dict[str, NDArray[np.bool_]]


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A share with its 95 % interval; see `bootstrap`."""

    value: float
    low: float
    high: float


def headline_flags(measured: Measurements) -> Flags:
    """Tell for each of B structures which headlines it makes.

    What was not measured counts as not achieved: a structure without an energy is not metastable, an
    invalid one is neither unique nor novel.

    Returns
    -------
    dict of (B,) bool
        ``valid``, ``unique``, ``novel``, ``metastable`` (e_above_hull < 0.1 eV/atom), ``stable`` (at most
        `STABLE_UP_TO`), ``sun`` and ``msun`` (stable or metastable, and unique and novel),
        ``charge_neutral``.
    """
    valid = measured.column("valid") == 1.0
    unique = valid & (measured.column("unique") == 1.0)
    novel = valid & (measured.column("novel") == 1.0)
    with np.errstate(invalid="ignore"):
        metastable = valid & (measured.column("e_above_hull") < METASTABLE_BELOW)
        stable = valid & (measured.column("e_above_hull") <= STABLE_UP_TO)
    return {
        "valid": valid,
        "unique": unique,
        "novel": novel,
        "metastable": metastable,
        "stable": stable,
        "sun": stable & unique & novel,
        "msun": metastable & unique & novel,
        "charge_neutral": valid & (measured.column("charge_neutral") == 1.0),
    }


def shares(measured: Measurements) -> dict[str, float]:
    """Share of the batch that makes each headline, in [0, 1]."""
    return {name: float(flags.mean()) for name, flags in headline_flags(measured).items()}


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
        for name, flags in headline_flags(measured).items()
    }


def bootstrap(flags: NDArray[np.bool_], *, resamples: int, seed: int) -> Estimate:
    """Return a share with the 95 % interval of its percentile bootstrap.

    Where all flags are equal, every resampling is the same, and the bootstrap would claim certainty however
    few they are. There the interval is Wilson's: it ends at the share, 0 or 1, and its other end is as far
    off as n samples allow (0 of 1000 is 0 to 0.4 %).

    Parameters
    ----------
    flags
        (n,) bool, n at least 1.
    resamples
        How often n structures are drawn with replacement.
    seed
        Fixes the draws.
    """
    size, hits = len(flags), int(flags.sum())
    if hits in {0, size}:
        low, high = wilson(hits, size)
        return Estimate(value=hits / size, low=low, high=high)
    rng = np.random.default_rng(seed)
    # Resampling n flags with replacement and averaging is one binomial draw.
    draws = rng.binomial(size, flags.mean(), resamples) / size
    low, high = np.quantile(draws, [0.025, 0.975])
    return Estimate(value=float(flags.mean()), low=float(low), high=float(high))
