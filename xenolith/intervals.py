"""How sure a share is, where few samples tell."""

import math

__all__ = ["wilson"]


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
