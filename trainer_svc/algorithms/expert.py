"""Expert iteration: train on the samples that are wanted as if they were data (the field's "flywheel").

A = 1 for a sample that is metastable (e_above_hull < 0.1 eV/atom, by an energy that is believed), unique and
novel, 0 for all others, and

    loss = A mse(v, u) + kl_weight mse(v, v_base).

It is what policy optimisation has to beat: it learns from what was kept alone, and most samples are not.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from torch import Tensor

from trainer_svc.algorithms.advantages import Advantages
from trainer_svc.algorithms.base import Valued
from trainer_svc.algorithms.forward import ForwardProcess, Velocities, weighted_error
from trainer_svc.algorithms.learning import Hold, OptimizerSettings
from trainer_svc.algorithms.noising import NoisedRows

__all__ = ["ExpertIteration"]


class ExpertIteration(ForwardProcess):
    """Expert iteration."""

    learns_as_data: ClassVar[bool] = True
    defaults: ClassVar[Mapping[str, Any]] = {"optimizer": {"kl_weight": 0.15}}

    @staticmethod
    def advantages(valued: Valued, _learning: OptimizerSettings, _hold: Hold) -> Advantages:
        """Keep what is wanted; groups do not matter."""
        kept = valued.wanted
        groups = np.unique(valued.groups)
        empty = tuple(int(group) for group in groups if not kept[valued.groups == group].any())
        return Advantages(values=kept.astype(np.float64), dropped=empty, clipped=0)

    def loss(self, rows: NoisedRows, velocities: Velocities) -> Tensor:
        """Weigh the error by 1 or 0."""
        return weighted_error(rows, velocities, self.hold.ratio_clip)
