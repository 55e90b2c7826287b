"""Group-relative policy optimisation of denoising steps, GRPO (arXiv 2402.03300; for crystals 2511.07158).

Each denoising step of a rollout is an action with a Gaussian density. With r the ratio of its densities under
the trained policy and the one that sampled, and the closed-form divergence to the base policy's Gaussian,

    loss = -min(r A, clip(r, 1 - clip_low, 1 + clip_high) A) + kl_weight KL(pi, pi_base).

See `trainer_svc.grpo`.
"""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from torch import Tensor

from trainer_svc.algorithms.advantages import Advantages
from trainer_svc.algorithms.base import (
    AlgorithmSettings,
    Batch,
    Context,
    UpdateStatistics,
    Valued,
    group_advantages,
)
from trainer_svc.algorithms.learning import Hold, OptimizerSettings
from trainer_svc.algorithms.variance import flat_gradient
from trainer_svc.grpo.policy import DiffusionPolicy, WithoutAdapter
from trainer_svc.grpo.rollouts import Rollouts
from trainer_svc.grpo.update import Updater

__all__ = ["Grpo"]


class Grpo:
    """GRPO on trajectories."""

    needs_trajectory: ClassVar[bool] = True
    needs_average: ClassVar[bool] = False
    samples_average: ClassVar[bool] = False
    learns_as_data: ClassVar[bool] = False
    defaults: ClassVar[Mapping[str, Any]] = {}
    Settings: ClassVar[type[AlgorithmSettings]] = AlgorithmSettings

    def __init__(self, context: Context) -> None:
        trained, base = context.networks.trained, context.networks.base
        reference = WithoutAdapter if base is trained else DiffusionPolicy
        self._policy = DiffusionPolicy(trained, context.sampler)
        self._updater = Updater(
            self._policy,
            reference(base, context.sampler),
            context.optimizer,
            context.learning,
        )

    @staticmethod
    def advantages(valued: Valued, learning: OptimizerSettings, hold: Hold) -> Advantages:
        """Compare each sample with its group."""
        return group_advantages(valued, learning, hold)

    def score_gradient(self, batch: Batch, index: int, *, seed: int) -> Tensor:
        """Return the gradient of the log-probability of one denoising step: (W,)."""
        rollouts = _rollouts(batch.take(index))
        trainable = rollouts.trainable_steps()
        step = trainable[seed % len(trainable)]
        log_prob = self._policy.evaluate(rollouts.rows([0], [step])).log_prob
        return flat_gradient(log_prob.sum(), self._policy.network)

    def update(
        self, batch: Batch, *, run_seed: int, step: int, kl_weight: float, on_progress: Callable[[], None]
    ) -> UpdateStatistics:
        """Train on the denoising steps of the rollouts."""
        return self._updater.run(
            _rollouts(batch), run_seed=run_seed, step=step, on_progress=on_progress, kl_weight=kl_weight
        )


def _rollouts(batch: Batch) -> Rollouts:
    if batch.path is None:
        raise ValueError("samples without trajectories cannot be learnt from by GRPO")
    return Rollouts(
        latents=batch.path.latents,
        num_atoms=batch.num_atoms,
        old_log_probs=batch.path.old_log_probs,
        advantages=batch.advantages,
        conditions=batch.conditions,
    )
