"""One step's policy update: passes of minibatches over a batch of rollouts."""

from collections.abc import Callable

import torch
from torch import Tensor

from trainer_svc.algorithms.base import UpdateStatistics
from trainer_svc.algorithms.learning import OptimizerSettings
from trainer_svc.algorithms.optimizer import set_learning_rate
from trainer_svc.algorithms.plan import Minibatch, plan_pass
from trainer_svc.errors import RatioError
from trainer_svc.grpo.loss import LossInputs, LossOutputs, gaussian_kl, grpo_loss
from trainer_svc.grpo.policy import Policy
from trainer_svc.grpo.rollouts import Rollouts, Rows
from trainer_svc.seeds import derive_seed

__all__ = ["RATIO_TOLERANCE", "ROWS_PER_FORWARD", "Updater"]

RATIO_TOLERANCE = 1e-5
"""Largest |ratio - 1| before the first update of a step."""
ROWS_PER_FORWARD = 320
"""Most (structure, denoising step) pairs in one forward pass: memory and cache, not mathematics."""


class Updater:
    """Applies GRPO updates to a policy."""

    def __init__(
        self,
        policy: Policy,
        reference: Policy | None,
        optimizer: torch.optim.Optimizer,
        settings: OptimizerSettings,
    ) -> None:
        """Bind the pieces.

        Parameters
        ----------
        policy
            Trained in place.
        reference
            The frozen base policy; may be None when ``kl_weight`` is 0.
        optimizer
            Over the policy's weights.
        settings
            Loss and schedule.
        """
        if settings.kl_weight > 0.0 and reference is None:
            raise ValueError("kl_weight is above 0, so a reference policy is needed")
        self._policy, self._reference = policy, reference
        self._optimizer, self._settings = optimizer, settings
        self._kl_weight = settings.kl_weight

    def run(
        self,
        rollouts: Rollouts,
        *,
        run_seed: int,
        step: int,
        on_progress: Callable[[], None],
        kl_weight: float | None = None,
    ) -> UpdateStatistics:
        """Update the policy on one step's rollouts.

        Parameters
        ----------
        rollouts
            Sampled by this very policy.
        run_seed, step
            Fix which structures and denoising steps meet in which minibatch.
        on_progress
            Called after every forward pass; may raise to abandon the update.
        kl_weight
            Weight of the divergence at this step; absent: that of the settings.

        Raises
        ------
        RatioError
            Before the first update, a log-probability differs from the one that the generator reported.
        """
        learning_rate = set_learning_rate(self._optimizer, self._settings, step)
        self._kl_weight = self._settings.kl_weight if kl_weight is None else kl_weight
        tally = _Tally()
        structures = torch.nonzero(rollouts.advantages).flatten().tolist()
        steps = self._window(rollouts.trainable_steps())
        scale = self._ratio_scale(rollouts, steps)
        sizes = rollouts.num_atoms[structures].tolist()
        for number in range(self._settings.passes if structures else 0):
            seed = derive_seed(run_seed, "minibatches", step, number)
            for minibatch in plan_pass(
                structures,
                sizes,
                steps,
                fraction=self._settings.timestep_fraction,
                minibatches=self._settings.minibatches,
                seed=seed,
            ):
                self._update(rollouts, minibatch, scale, tally, on_progress)
        return tally.statistics(learning_rate)

    def _window(self, trainable: list[int]) -> list[int]:
        """Keep the noisiest steps."""
        if not trainable:
            raise ValueError("no denoising step of the rollouts has a density: sample with eta above 0")
        return trainable[: max(1, round(self._settings.timestep_window * len(trainable)))]

    def _ratio_scale(self, rollouts: Rollouts, steps: list[int]) -> Tensor:
        """(S,) factor of each step's log-ratio, 1 on average over the steps trained."""
        if not self._settings.normalize_ratio:
            return torch.ones(rollouts.old_log_probs.shape[1])
        scale = 1.0 / self._policy.sensitivity(rollouts.old_log_probs.shape[1])
        return scale / scale[steps].mean()

    def _update(
        self,
        rollouts: Rollouts,
        minibatch: Minibatch,
        scale: Tensor,
        tally: "_Tally",
        on_progress: Callable[[], None],
    ) -> None:
        self._optimizer.zero_grad(set_to_none=True)
        total = len(minibatch.structures) * len(minibatch.steps)
        for structures in minibatch.micro_batches(ROWS_PER_FORWARD):
            outputs = self._forward(rollouts.rows(structures, minibatch.steps), scale)
            if tally.updates == 0:
                tally.check_ratio(outputs.ratio)
            (outputs.loss / total).backward()
            tally.add(outputs)
            on_progress()
        norm = torch.nn.utils.clip_grad_norm_(self._policy.network.parameters(), self._settings.max_grad_norm)
        self._optimizer.step()
        tally.add_update(float(norm))

    def _forward(self, rows: Rows, scale: Tensor) -> LossOutputs:
        new = self._policy.evaluate(rows)
        kl = torch.zeros_like(new.log_prob)
        if self._reference is not None and self._kl_weight > 0.0:
            with torch.no_grad():
                base = self._reference.evaluate(rows).mean
            kl = self._policy.mean_over_atoms(gaussian_kl(new.mean, base, new.std), rows)
        inputs = LossInputs(
            log_prob=new.log_prob,
            old_log_prob=rows.old_log_prob,
            advantage=rows.advantage,
            kl=kl,
            scale=scale[rows.step],
        )
        return grpo_loss(
            inputs,
            clip_low=self._settings.clip_low,
            clip_high=self._settings.clip_high,
            kl_weight=self._kl_weight,
        )


class _Tally:
    """Running sums of an update."""

    def __init__(self) -> None:
        self.updates = self.rows = self.clipped = 0
        self.loss = self.kl = self.norm = self.ratio_deviation = 0.0

    def check_ratio(self, ratio: Tensor) -> None:
        deviation = float((ratio - 1.0).abs().max())
        # Written so that NaN fails too.
        if not deviation < RATIO_TOLERANCE:
            raise RatioError(
                f"importance ratio before the first update is off by {deviation:.2e}, more than"
                f" {RATIO_TOLERANCE:.0e}: the generator sampled with other weights or settings than the"
                " trainer holds; check that both run the same version and that no other run updates it"
            )
        self.ratio_deviation = max(self.ratio_deviation, deviation)

    def add(self, outputs: LossOutputs) -> None:
        self.rows += outputs.ratio.numel()
        self.clipped += int(outputs.clipped.sum())
        self.loss += float(outputs.loss.detach())
        self.kl += float(outputs.kl)

    def add_update(self, norm: float) -> None:
        self.updates += 1
        self.norm += norm

    def statistics(self, learning_rate: float) -> UpdateStatistics:
        rows, updates = max(self.rows, 1), max(self.updates, 1)
        return UpdateStatistics(
            ratio_deviation=self.ratio_deviation,
            loss=self.loss / rows,
            kl=self.kl / rows,
            clip_fraction=self.clipped / rows,
            grad_norm=self.norm / updates,
            learning_rate=learning_rate,
            updates=self.updates,
        )
