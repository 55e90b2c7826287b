"""Advantage-weighted matching, AWM (arXiv 2509.25050).

At one time t and noise eps, with the velocity target u = alpha eps - sigma z0 of a sample z0 of advantage A:

    loss = A mse(v, u) + kl_weight mse(v, v_base) + anchor_weight mse(v, v_average)

or, with ``hold.ratio_clip``, its clipped form -min(r A, clip(r) A) of r = exp(mse(v_old, u) - mse(v, u)). The
paper's weight w(t) is 1 here. Where A is above 0 this is pretraining on the good samples; where it is below,
the prediction is pushed away, which has no end: hence the tempered negatives.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor

from trainer_svc.algorithms.forward import ForwardProcess, Velocities, weighted_error
from trainer_svc.algorithms.noising import NoisedRows

__all__ = ["AdvantageWeightedMatching"]


class AdvantageWeightedMatching(ForwardProcess):
    """AWM."""

    defaults: ClassVar[Mapping[str, Any]] = {
        "optimizer": {"kl_weight": 0.15, "advantage_scale": "batch"},
        "hold": {"negative_scale": 0.7},
    }

    def loss(self, rows: NoisedRows, velocities: Velocities) -> Tensor:
        """Weigh the error by the advantage."""
        return weighted_error(rows, velocities, self.hold.ratio_clip)
