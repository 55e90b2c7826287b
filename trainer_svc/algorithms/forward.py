"""Learning on the forward process: samples are noised anew, and the denoiser's prediction there is valued.

No trajectory and no log-probability is needed, so any sampler may have made the samples, and they may be old,
replayed or relaxed. Algorithms differ in their `ForwardProcess.loss` alone; to it are added

    kl_weight mean |v - v_base|^2 + anchor_weight mean |v - v_average|^2,

the squares averaged over atoms and channels, at the same noised latents.
"""

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from generator_svc.networks.denoiser import Denoiser
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
from trainer_svc.algorithms.noising import NoisedRows, Noising
from trainer_svc.algorithms.optimizer import set_learning_rate
from trainer_svc.algorithms.plan import Minibatch, plan_pass
from trainer_svc.algorithms.variance import flat_gradient
from trainer_svc.seeds import derive_seed

__all__ = ["ForwardProcess", "ForwardSettings", "Velocities", "weighted_error"]

ROWS_PER_FORWARD = 512
"""Most noised samples in one forward pass: memory and cache, not mathematics."""


class ForwardSettings(AlgorithmSettings):
    """Settings of every algorithm on the forward process."""

    noisings: int = Field(default=4, ge=1)
    """Times at which each sample is noised in a pass (K)."""
    relaxed_targets: int = Field(default=0, ge=0)
    """Most samples of a step that the oracle relaxes: the most stable ones that are unique and novel, learnt
    from as further members of their groups. 0: none."""
    relaxation_steps: int = Field(default=20, ge=1)
    """Steps of their relaxation."""
    relax_below: float = Field(default=1.0, gt=0.0)
    """Energy above the hull, eV/atom, from which a sample is not worth relaxing."""


@dataclass(frozen=True, kw_only=True)
class Velocities:
    """(P, L) predictions of the networks at the same noised latents; what nothing asks for is None."""

    trained: Tensor
    """Carries the gradient."""
    base: Tensor | None
    """Of the frozen policy that the run started from."""
    old: Tensor | None
    """Of the policy that sampled."""
    average: Tensor | None
    """Of the moving average."""


class ForwardProcess(ABC):
    """An algorithm that learns from final latents alone."""

    needs_trajectory: ClassVar[bool] = False
    needs_average: ClassVar[bool] = False
    samples_average: ClassVar[bool] = False
    learns_as_data: ClassVar[bool] = False
    needs_base: ClassVar[bool] = False
    """Whether the loss uses the base policy's velocity, whatever ``kl_weight`` is."""
    needs_old: ClassVar[bool] = False
    """Whether the loss uses the velocity of the policy that sampled, clip or not."""
    defaults: ClassVar[Mapping[str, Any]] = {}
    Settings: ClassVar[type[AlgorithmSettings]] = ForwardSettings

    def __init__(self, context: Context) -> None:
        self.networks, self.hold, self.learning = context.networks, context.hold, context.learning
        self.settings = context.settings
        self._optimizer = context.optimizer

    @abstractmethod
    def loss(self, rows: NoisedRows, velocities: Velocities) -> Tensor:
        """Value R rows: (R,), less is better. Terms of the hold are added by the caller."""

    @staticmethod
    def advantages(valued: Valued, learning: OptimizerSettings, hold: Hold) -> Advantages:
        """Compare each sample with its group."""
        return group_advantages(valued, learning, hold)

    def score_gradient(self, batch: Batch, index: int, *, seed: int) -> Tensor:
        """Return the gradient of minus the velocity's error at one time: (W,)."""
        rows = Noising(batch.take(index), 1, seed).rows([0], [0])
        trained = self.networks.trained
        velocity = trained(rows.noisy, rows.time, rows.ragged, rows.conditions)
        return flat_gradient(-rows.mean((velocity - rows.target).square()).sum(), trained)

    def update(
        self, batch: Batch, *, run_seed: int, step: int, kl_weight: float, on_progress: Callable[[], None]
    ) -> UpdateStatistics:
        """Take one optimiser step for each minibatch of each pass."""
        rate = set_learning_rate(self._optimizer, self.learning, step)
        tally = _Tally()
        samples = torch.nonzero(batch.advantages).flatten().tolist()
        old = self._old() if samples else None
        for number in range(self.learning.passes if samples else 0):
            noising = Noising(batch, self.settings.noisings, derive_seed(run_seed, "noising", step, number))
            for minibatch in plan_pass(
                samples,
                batch.num_atoms[samples].tolist(),
                range(self.settings.noisings),
                fraction=1.0,
                minibatches=self.learning.minibatches,
                seed=derive_seed(run_seed, "minibatches", step, number),
            ):
                self._minibatch(noising, minibatch, old, kl_weight, tally, on_progress)
        return tally.statistics(rate)

    def _old(self) -> Denoiser | None:
        """Keep the policy that sampled, where it is needed once the trained one has moved on."""
        if not (self.needs_old or self.hold.ratio_clip is not None):
            return None
        if self.samples_average:
            return self.networks.average
        return copy.deepcopy(self.networks.trained).requires_grad_(False)

    def _minibatch(
        self,
        noising: Noising,
        minibatch: Minibatch,
        old: Denoiser | None,
        kl_weight: float,
        tally: "_Tally",
        on_progress: Callable[[], None],
    ) -> None:
        self._optimizer.zero_grad(set_to_none=True)
        total = len(minibatch.structures) * len(minibatch.steps)
        for samples in minibatch.micro_batches(ROWS_PER_FORWARD):
            rows = noising.rows(samples, minibatch.steps)
            velocities = self._velocities(rows, old, kl_weight)
            loss = self.loss(rows, velocities).sum()
            kl = distance(rows, velocities.trained, velocities.base)
            loss = loss + kl_weight * kl
            if self.hold.anchor_weight > 0.0:
                anchor = distance(rows, velocities.trained, velocities.average)
                loss = loss + self.hold.anchor_weight * anchor
            (loss / total).backward()
            tally.add(rows, loss, kl, self._clipped(rows, velocities))
            on_progress()
        norm = torch.nn.utils.clip_grad_norm_(self.networks.trained.parameters(), self.learning.max_grad_norm)
        self._optimizer.step()
        tally.add_update(float(norm))

    def _velocities(self, rows: NoisedRows, old: Denoiser | None, kl_weight: float) -> Velocities:
        inputs = rows.noisy, rows.time, rows.ragged, rows.conditions
        with torch.no_grad():
            wanted = kl_weight > 0.0 or self.needs_base
            base = self.networks.base_velocity(*inputs) if wanted else None
            before = None if old is None else old(*inputs)
            average = None
            if self.hold.anchor_weight > 0.0 and self.networks.average is not None:
                average = before if old is self.networks.average else self.networks.average(*inputs)
        trained = self.networks.trained(*inputs)
        return Velocities(trained=trained, base=base, old=before, average=average)

    def _clipped(self, rows: NoisedRows, velocities: Velocities) -> int:
        if self.hold.ratio_clip is None or velocities.old is None:
            return 0
        ratio = _ratio(rows, velocities.trained.detach(), velocities.old)
        return int(((ratio - 1.0) * rows.advantage.sign() > self.hold.ratio_clip).sum())


def weighted_error(rows: NoisedRows, velocities: Velocities, clip: float | None) -> Tensor:
    """Weigh the squared error of the velocity by the advantage: (R,).

    With l = -mse(v, u) for a likelihood this is -A l. With a clip and the policy that sampled, it is PPO's
    -min(ratio A, clip(ratio) A) of ratio = exp(l - l_old), which has the same gradient at ratio 1.
    """
    if clip is None or velocities.old is None:
        return rows.advantage * rows.mean((velocities.trained - rows.target).square())
    ratio = _ratio(rows, velocities.trained, velocities.old)
    bounded = ratio.clamp(1.0 - clip, 1.0 + clip)
    return -torch.minimum(ratio * rows.advantage, bounded * rows.advantage)


def distance(rows: NoisedRows, ours: Tensor, other: Tensor | None) -> Tensor:
    """Sum over rows of the mean square distance of two velocities; 0 where there is no other: ()."""
    return ours.new_zeros(()) if other is None else rows.mean((ours - other).square()).sum()


def _ratio(rows: NoisedRows, trained: Tensor, old: Tensor) -> Tensor:
    before = rows.mean((old - rows.target).square())
    return torch.exp(before - rows.mean((trained - rows.target).square()))


class _Tally:
    """Running sums of an update."""

    def __init__(self) -> None:
        self.updates = self.rows = self.clipped = 0
        self.loss = self.kl = self.norm = 0.0

    def add(self, rows: NoisedRows, loss: Tensor, kl: Tensor, clipped: int) -> None:
        self.rows += len(rows.advantage)
        self.loss += float(loss.detach())
        self.kl += float(kl.detach())
        self.clipped += clipped

    def add_update(self, norm: float) -> None:
        self.updates += 1
        self.norm += norm

    def statistics(self, learning_rate: float) -> UpdateStatistics:
        rows, updates = max(self.rows, 1), max(self.updates, 1)
        return UpdateStatistics(
            ratio_deviation=0.0,
            loss=self.loss / rows,
            kl=self.kl / rows,
            clip_fraction=self.clipped / rows,
            grad_norm=self.norm / updates,
            learning_rate=learning_rate,
            updates=self.updates,
        )
