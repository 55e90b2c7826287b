"""Continuous SUN: stability, uniqueness and novelty as grades between 0 and 1 instead of yes and no.

M. Negishi, H. Park, K. O. Mastej and A. Walsh, arXiv 2510.12405, as in their package `xtalmet` 2.0:

    stability(x)      = 1 - e_above_hull / 0.4289 eV/atom, at least 0, at most 1
    continuous SUN    = mean over all samples of stability * uniqueness * novelty

Graded uniqueness and novelty are measured by the oracle (`continuous_uniqueness`, `continuous_novelty`). The
novelty of a sample is its distance to the reference; so the figure depends on the reference, and on the
hull, as SUN does. What was not measured, invalid samples among it, counts as 0.
"""

import numpy as np
from numpy.typing import NDArray

from trainer_svc.rewards.measurements import Measurements

__all__ = ["UNSTABLE_FROM", "continuous_metrics", "stability_grade"]

UNSTABLE_FROM = 0.4289
"""eV/atom above the hull at which the grade of stability is 0; the published constant."""


def stability_grade(e_above_hull: NDArray[np.float64]) -> NDArray[np.float64]:
    """(B,) grades in [0, 1] of energies above the hull (B,), eV/atom; 0 where there is none."""
    grades = np.clip(1.0 - e_above_hull / UNSTABLE_FROM, 0.0, 1.0)
    return np.where(np.isfinite(e_above_hull), grades, 0.0)


def continuous_metrics(measured: Measurements, among: NDArray[np.bool_] | None = None) -> dict[str, float]:
    """Means over B samples; empty if the oracle did not measure them.

    Those that (B,) `among` says false to count as 0.

    Returns
    -------
    dict
        ``continuous_stability``, ``continuous_uniqueness``, ``continuous_novelty`` and ``continuous_sun``,
        the mean of their products; all in [0, 1].
    """
    if not np.isfinite(measured.column("continuous_novelty")).any():
        return {}
    grades = {
        "continuous_stability": stability_grade(measured.column("e_above_hull")),
        "continuous_uniqueness": np.nan_to_num(measured.column("continuous_uniqueness")),
        "continuous_novelty": np.nan_to_num(measured.column("continuous_novelty")),
    }
    product = np.prod(list(grades.values()), axis=0)
    kept = 1.0 if among is None else among
    columns = grades | {"continuous_sun": product}
    return {name: float((column * kept).mean()) for name, column in columns.items()}
