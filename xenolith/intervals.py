"""How sure a share is: 95 % intervals."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Estimate", "bootstrap", "wilson"]


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A share with its 95 % interval; see `bootstrap`."""

    value: float
    low: float
    high: float


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


def wilson(hits: int, total: int, z: float = 1.96) -> tuple[float, float]:
    """Return Wilson's interval of the share `hits` / `total`, which keeps its width at 0 and 1.

    Source: E. B. Wilson, J. Am. Stat. Assoc. 22, 209 (1927).

    Parameters
    ----------
    hits
        How many of them, 0 to `total`.
    total
        Of how many, at least 1.
    z
        Half width in standard deviations; 1.96 is 95 %.

    Returns
    -------
    low, high
        In [0, 1], around the share.
    """
    share, weight = hits / total, z * z / total
    centre = (share + weight / 2) / (1 + weight)
    half = z * math.sqrt(share * (1 - share) / total + weight / (4 * total)) / (1 + weight)
    # Rounding must not leave the share itself outside.
    return max(0.0, min(centre - half, share)), min(1.0, max(centre + half, share))
