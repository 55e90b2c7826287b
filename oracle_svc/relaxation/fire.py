"""FIRE, the fast inertial relaxation engine: a walk downhill that gathers speed while it goes the right way.

Source: Bitzek et al., Phys. Rev. Lett. 97, 170201 (2006). The constants are those of ASE's `FIRE`, so that
both take the same way.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["Fire"]

_FIRST_STEP, _LONGEST_STEP = 0.1, 1.0
_GROWTH, _CUT = 1.1, 0.5
_FIRST_MIXING, _MIXING_DECAY = 0.1, 0.99
_PATIENCE = 5
_FARTHEST = 0.2
"""Longest move of all coordinates together, Angstrom."""


class Fire:
    """The state of one walk.

    Parameters
    ----------
    size
        Number of coordinates.
    """

    def __init__(self, size: int) -> None:
        self._velocity = np.zeros(size)
        self._time_step = _FIRST_STEP
        self._mixing = _FIRST_MIXING
        self._downhill = 0
        self._begun = False

    def move(self, force: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the next displacement, (size,) Angstrom, given the force (size,) where the walk stands."""
        if self._begun:
            self._steer(force)
        self._begun = True
        self._velocity = self._velocity + self._time_step * force
        displacement = self._time_step * self._velocity
        length = float(np.linalg.norm(displacement))
        return displacement * min(1.0, _FARTHEST / length) if length > 0 else displacement

    def _steer(self, force: NDArray[np.float64]) -> None:
        if float(force @ self._velocity) <= 0:
            self._velocity = np.zeros_like(self._velocity)
            self._mixing = _FIRST_MIXING
            self._time_step *= _CUT
            self._downhill = 0
            return
        speed, strength = np.linalg.norm(self._velocity), np.linalg.norm(force)
        self._velocity = (1 - self._mixing) * self._velocity + self._mixing * force * (speed / strength)
        if self._downhill > _PATIENCE:
            self._time_step = min(self._time_step * _GROWTH, _LONGEST_STEP)
            self._mixing *= _MIXING_DECAY
        self._downhill += 1
