"""How a policy is changed by a step: the optimiser, and what holds the policy back."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

__all__ = ["AdvantageScale", "Hold", "Model", "OptimizerSettings"]

AdvantageScale = Literal["none", "group", "batch"]
"""What centred rewards are divided by."""


class Model(BaseModel):
    """A part of a configuration: unknown keys are refused, values are fixed and finite."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class OptimizerSettings(Model):
    """Optimiser and loss.

    Log-probabilities are averaged over the D = atoms x channels latent numbers of a structure, so ratios stay
    close to 1: a step whose mean moves by delta deviations in all has a log-ratio of order delta / D. The
    clip range is of that order, not the 0.2 of language models.
    """

    learning_rate: float = Field(default=2e-4, gt=0.0)
    weight_decay: float = Field(default=0.0, ge=0.0)
    max_grad_norm: float = Field(default=1.0, gt=0.0)
    clip_low: float = Field(default=1e-2, gt=0.0, lt=1.0)
    clip_high: float = Field(default=1.5e-2, gt=0.0)
    """Higher than below keeps exploration alive (DAPO, arXiv 2503.14476)."""
    kl_weight: float = Field(default=0.05, ge=0.0)
    """Weight of the divergence to the frozen base policy; 0 skips its computation."""
    timestep_window: float = Field(default=1.0, gt=0.0, le=1.0)
    """Only this share of the denoising steps, the noisiest, is trained; the others are not held to the base
    policy either, and drift."""
    timestep_fraction: float = Field(default=0.5, gt=0.0, le=1.0)
    """Share of the window's steps trained in a minibatch, drawn anew each time."""
    normalize_ratio: bool = True
    """Divide each step's log-ratio by how strongly it reacts to the network, so that no step dominates
    (GRPO-Guard, arXiv 2510.22319)."""
    passes: int = Field(default=1, ge=1)
    minibatches: int = Field(default=2, ge=1)
    advantage_clip: float = Field(default=5.0, gt=0.0)
    normalize_advantage: bool = True
    """Divide by the group's deviation; otherwise by nothing (Dr. GRPO). ``advantage_scale`` goes before."""
    advantage_scale: AdvantageScale | None = None
    """Divide by the deviation inside each group (``group``), by that of all centred rewards of the step
    (``batch``), or by nothing (``none``). Absent: what ``normalize_advantage`` says."""
    ema_decay: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Of the contract; any but 0 is refused, for no policy here is an average of others."""
    warmup_steps: int = Field(default=0, ge=0)

    @field_validator("ema_decay")
    @classmethod
    def _no_average(cls, value: float) -> float:
        if value:
            raise ValueError("this trainer keeps no moving average of weights; leave it at 0")
        return value

    @property
    def resolved_scale(self) -> AdvantageScale:
        """Divisor of centred rewards."""
        return self.advantage_scale or ("group" if self.normalize_advantage else "none")


class Hold(Model):
    """Bounds on a policy's change, beside the divergence to the frozen base (``kl_weight``).

    Without a hold a policy collapses after some dozen steps onto the few crystals that earn most.
    """

    kl_target: float | None = Field(default=None, gt=0.0)
    """Wanted divergence to the base policy, in the unit of the step's ``kl``: ``kl_weight`` is where the
    weight starts, and it rises after a step above the target and falls after one below. Absent: it stays."""
    kl_rate: float = Field(default=1.5, gt=1.0)
    """Largest factor by which the weight changes in a step."""
    negative_scale: float = Field(default=1.0, ge=0.0, le=1.0)
    """Factor of advantages below 0. Pushing away from bad samples has no natural end, pulling toward good
    ones has: tempered negatives keep the update stable."""
    ratio_clip: float | None = Field(default=None, gt=0.0, lt=1.0)
    """Forward-process algorithms: the ratio of likelihoods to the policy that sampled is clipped to
    [1 - x, 1 + x]. Absent: no ratio is formed; in a single pass both are the same to first order."""
    anchor_weight: float = Field(default=0.0, ge=0.0)
    """Forward-process algorithms: weight of the mean square distance of velocities to those of a moving
    average of the policy; 0: no such anchor."""
    anchor_decay: float = Field(default=0.3, ge=0.0, lt=1.0)
    """Decay of the moving average at each step, once it is reached."""
    anchor_warmup_steps: int = Field(default=300, ge=0)
    """Steps over which the decay rises from 0."""

    def decay_at(self, step: int) -> float:
        """Decay of the moving average at a step, 1-based."""
        grown = step / self.anchor_warmup_steps if self.anchor_warmup_steps else 1.0
        return self.anchor_decay * min(1.0, grown)

    def next_kl_weight(self, weight: float, kl: float) -> float:
        """Weight of the divergence after a step that ended at divergence ``kl``."""
        if self.kl_target is None or weight == 0.0:
            return weight
        factor = kl / self.kl_target
        return weight * min(max(factor, 1.0 / self.kl_rate), self.kl_rate)
