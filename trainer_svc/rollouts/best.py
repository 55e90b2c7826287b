"""The best of a step: samples that are worth more than the others' effort."""

import numpy as np
from numpy.typing import NDArray

from trainer_svc.rewards.measurements import Measurements

__all__ = ["best_rows"]


def best_rows(measured: Measurements, count: int, below: float) -> NDArray[np.int64]:
    """Choose the most stable of the samples that are valid, unique and novel: at most `count` rows, in order.

    Parameters
    ----------
    below
        Energy above the hull, eV/atom, from which a sample is too far away to be worth it.
    """
    energies = measured.column("e_above_hull")
    good = np.all([measured.column(name) == 1.0 for name in ("valid", "unique", "novel")], axis=0)
    with np.errstate(invalid="ignore"):
        rows = np.flatnonzero(good & (energies < below))
    ranked = rows[np.argsort(energies[rows], kind="stable")][:count]
    return np.sort(ranked)
