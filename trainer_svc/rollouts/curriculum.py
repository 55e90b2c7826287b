"""Curriculum: groups are drawn where a policy can learn, judged by its own recent success."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["Successes"]

_MEMORY = 0.9
"""Share of what was counted that the next step still counts."""


class Successes:
    """How often the samples of each atom count were metastable, unique and novel, of late.

    A group in which all fail or all succeed teaches nothing; the spread of a yes-or-no is p (1 - p), which is
    largest where half succeed. Small cells get there first, larger ones follow as the policy learns.
    """

    def __init__(self, counted: dict[int, tuple[float, float]] | None = None) -> None:
        """Go on from what was counted: successes and samples by atom count."""
        self.counted = dict(counted or {})

    def add(self, num_atoms: NDArray[np.int32], wanted: NDArray[np.bool_]) -> None:
        """Count a step's B samples."""
        for count, (hits, size) in list(self.counted.items()):
            self.counted[count] = (_MEMORY * hits, _MEMORY * size)
        for count in np.unique(num_atoms).tolist():
            here = num_atoms == count
            hits, size = self.counted.get(count, (0.0, 0.0))
            self.counted[count] = (hits + float(wanted[here].sum()), size + float(here.sum()))

    def weights(self, counts: Sequence[int], floor: float) -> NDArray[np.float64]:
        """Give the factor of each atom count's probability: ``floor + 4 p (1 - p)``."""
        factors = []
        for count in counts:
            hits, size = self.counted.get(count, (0.0, 0.0))
            # One success of two is what nothing says: an atom count never drawn is worth a look.
            p = (hits + 1.0) / (size + 2.0)
            factors.append(floor + 4.0 * p * (1.0 - p))
        return np.array(factors)
