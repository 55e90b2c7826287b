"""Reward-adjusted matching, RAM (arXiv 2605.10759).

The velocity is regressed on a target that the advantage moves away from the frozen base policy's:

    loss = mse(v, sg(v_base + R (u - v))),   R = gain A.

Its gradient is that of AWM with advantages R and a ``kl_weight`` of 1: what AWM sets by a small weight, RAM
sets by a large gain. The hold's own ``kl_weight`` is therefore 0 unless it is asked for.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field
from torch import Tensor

from trainer_svc.algorithms.forward import ForwardProcess, ForwardSettings, Velocities
from trainer_svc.algorithms.noising import NoisedRows

__all__ = ["RewardAdjustedMatching"]


class RamSettings(ForwardSettings):
    """Settings of RAM."""

    gain: float = Field(default=6.0, gt=0.0)
    """How far an advantage of 1 moves the target, in units of the way from the prediction to the sample."""


class RewardAdjustedMatching(ForwardProcess):
    """RAM."""

    needs_base: ClassVar[bool] = True
    defaults: ClassVar[Mapping[str, Any]] = {
        "optimizer": {"kl_weight": 0.0, "advantage_scale": "batch"},
        "hold": {"negative_scale": 0.7},
    }
    Settings = RamSettings

    def loss(self, rows: NoisedRows, velocities: Velocities) -> Tensor:
        """Regress on the moved target."""
        if velocities.base is None:
            raise ValueError("RAM needs the velocity of the base policy")
        moved = (rows.target - velocities.trained.detach()) * rows.ragged.expand(rows.advantage[:, None])
        target = velocities.base + self.settings.gain * moved
        return rows.mean((velocities.trained - target).square())
