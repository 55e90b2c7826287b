"""Negative-aware fine-tuning, DiffusionNFT (arXiv 2509.16117).

The policy that samples, v_old, is a slow moving average of the trained v. Around it, v+ = (1 - b) v_old + b v
is trained on what is good and v- = (1 + b) v_old - b v on what is bad. With r = clip(A / 2 A_max + 1/2, 0, 1)

    loss = r |x0(v+) - z0|^2 / sg(mean |x0(v+) - z0|) + (1 - r) |x0(v-) - z0|^2 / sg(mean |x0(v-) - z0|),

x0(v) = alpha x_t - sigma v being the sample that a velocity predicts and sg a constant to the gradient. So
what is bad enters as something to learn from the other side of v_old, not as something to flee.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field
from torch import Tensor

from trainer_svc.algorithms.forward import ForwardProcess, ForwardSettings, Velocities
from trainer_svc.algorithms.noising import NoisedRows

__all__ = ["NegativeAwareFinetuning"]


class NftSettings(ForwardSettings):
    """Settings of NFT."""

    strength: float = Field(default=1.0, gt=0.0, le=1.0)
    """b: how far the two implicit policies lie from the one that samples, per unit of the trained one."""


class NegativeAwareFinetuning(ForwardProcess):
    """DiffusionNFT."""

    needs_average: ClassVar[bool] = True
    samples_average: ClassVar[bool] = True
    needs_old: ClassVar[bool] = True
    defaults: ClassVar[Mapping[str, Any]] = {
        "optimizer": {"kl_weight": 1e-4, "advantage_scale": "batch"},
        "hold": {"anchor_decay": 0.5, "anchor_warmup_steps": 500},
    }
    Settings = NftSettings

    def loss(self, rows: NoisedRows, velocities: Velocities) -> Tensor:
        """Weigh the errors of the two implicit policies."""
        old, b = velocities.old, self.settings.strength
        if old is None:
            raise ValueError("NFT needs the velocity of the policy that sampled")
        towards = (1.0 - b) * old + b * velocities.trained
        away = (1.0 + b) * old - b * velocities.trained
        good = (rows.advantage / (2.0 * self.learning.advantage_clip) + 0.5).clamp(0.0, 1.0)
        return good * _error(rows, towards) + (1.0 - good) * _error(rows, away)


def _error(rows: NoisedRows, velocity: Tensor) -> Tensor:
    """(R,) square error of the predicted sample, over its own mean size."""
    off = rows.alpha * rows.noisy - rows.sigma * velocity - rows.clean
    size = rows.mean(off.detach().abs()).clamp_min(1e-5)
    return rows.mean(off.square()) / size
