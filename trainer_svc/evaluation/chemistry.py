"""Chemistry of samples: how many chemical systems, and how many hold f-block or radioactive elements."""

import numpy as np
from numpy.typing import NDArray

from xenolith.crystal import CrystalBatch
from xenolith.elements import F_BLOCK, RADIOACTIVE

__all__ = ["chemistry_metrics", "distinct_systems"]


def distinct_systems(crystals: CrystalBatch, among: NDArray[np.bool_] | None = None) -> int:
    """Count the sets of elements of B samples; those that (B,) `among` says false to are left out."""
    chosen = crystals if among is None else crystals.take(np.flatnonzero(among))
    return len({frozenset(crystal.numbers.tolist()) for crystal in chosen})


def chemistry_metrics(crystals: CrystalBatch, valid: NDArray[np.bool_]) -> dict[str, float]:
    """Describe the elements of B samples.

    Returns
    -------
    dict
        ``unique_systems``, the number of chemical systems among the valid ones; ``f_block_share`` and
        ``radioactive_share``, the shares of all samples that hold such an element.
    """
    return {
        "unique_systems": float(distinct_systems(crystals, valid)),
        "f_block_share": _share(crystals, F_BLOCK),
        "radioactive_share": _share(crystals, RADIOACTIVE),
    }


def _share(crystals: CrystalBatch, numbers: frozenset[int]) -> float:
    owner = np.repeat(np.arange(len(crystals)), crystals.num_atoms)
    holding = np.unique(owner[np.isin(crystals.numbers, sorted(numbers))])
    return len(holding) / max(len(crystals), 1)
