"""The interface of every algorithm: its inputs, its results, its questions."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator
from torch import Tensor

from generator_svc.diffusion.sampler import SamplerSettings
from generator_svc.networks.conditions import Conditions
from generator_svc.networks.denoiser import Denoiser
from generator_svc.networks.lora import adapter_disabled
from generator_svc.networks.ragged import Ragged
from trainer_svc.algorithms.advantages import Advantages, compute_advantages
from trainer_svc.algorithms.learning import Hold, Model, OptimizerSettings
from trainer_svc.rewards.measurements import FloatColumn

__all__ = [
    "Algorithm",
    "AlgorithmSettings",
    "Batch",
    "Context",
    "Networks",
    "Path",
    "UpdateStatistics",
    "Valued",
    "group_advantages",
]


class AlgorithmSettings(Model):
    """Settings that every algorithm has."""

    variance_samples: int = Field(default=8, ge=0)
    """Samples of a step by which the variance of the gradient is estimated; 0: it is not."""
    judge: str = ""
    """Second calculator of the oracle, by its id, whose energies count for the best of a step."""
    judge_best: int = Field(default=0, ge=0)
    """Most structures of a step that it judges: the most stable ones that are unique and novel. 0: none."""

    @model_validator(mode="after")
    def _judge_named(self) -> Self:
        if bool(self.judge) != bool(self.judge_best):
            raise ValueError("judge, the id of a second calculator, and judge_best, how many, go together")
        return self


@dataclass(frozen=True, kw_only=True)
class Path:
    """How B samples came to be: S denoising steps of T atoms together."""

    latents: Tensor
    """(S + 1, T, L) float32, from initial noise to the final latents."""
    old_log_probs: Tensor
    """(B, S) float32, averaged over atoms x channels; NaN where a step has no noise."""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """B samples with T atoms together, as an algorithm learns from them."""

    latents: Tensor
    """(T, L) float32, final latents, standardised as the sampler left them."""
    num_atoms: Tensor
    """(B,) int64."""
    advantages: Tensor
    """(B,) float32; what has 0 teaches nothing."""
    conditions: Conditions | None = None
    """Of the B samples; None: unconditional."""
    path: Path | None = None
    """For algorithms that ask for it."""

    def __post_init__(self) -> None:
        atoms = int(self.num_atoms.sum())
        if len(self.latents) != atoms:
            raise ValueError(f"latents hold {len(self.latents)} atoms, num_atoms says {atoms}")

    def take(self, index: int) -> "Batch":
        """Give one sample alone."""
        first = int(self.num_atoms[:index].sum())
        atoms = slice(first, first + int(self.num_atoms[index]))
        path = None
        if self.path is not None:
            old = self.path.old_log_probs[index : index + 1]
            path = Path(latents=self.path.latents[:, atoms], old_log_probs=old)
        return Batch(
            latents=self.latents[atoms],
            num_atoms=self.num_atoms[index : index + 1],
            advantages=self.advantages[index : index + 1],
            conditions=None if self.conditions is None else self.conditions.take(torch.tensor([index])),
            path=path,
        )


@dataclass(frozen=True, kw_only=True)
class Networks:
    """The denoiser under training, and those that it is compared with."""

    trained: Denoiser
    base: Denoiser
    """Frozen; the trained one itself where that has an adapter, which is then switched off."""
    average: Denoiser | None = None
    """Moving average of the trained one, frozen; None where nothing asks for it."""

    @torch.no_grad()
    def base_velocity(
        self, latents: Tensor, time: Tensor, ragged: Ragged, conditions: Conditions | None
    ) -> Tensor:
        """Predict as the policy that the run started from."""
        if self.base is not self.trained:
            return self.base(latents, time, ragged, conditions)
        with adapter_disabled(self.trained):
            return self.trained(latents, time, ragged, conditions)


@dataclass(frozen=True, kw_only=True)
class Context:
    """Parts that an algorithm is built from."""

    networks: Networks
    optimizer: torch.optim.Optimizer
    """Over the trained network's weights."""
    sampler: SamplerSettings
    """With which the samples are made."""
    learning: OptimizerSettings
    hold: Hold
    settings: Any
    """The algorithm's own, an instance of its `Settings`."""


@dataclass(frozen=True, kw_only=True)
class Valued:
    """B samples with what they are worth."""

    rewards: FloatColumn
    """(B,) finite."""
    groups: NDArray[np.int64]
    """(B,) group of each."""
    wanted: NDArray[np.bool_]
    """(B,) whether each is metastable, unique and novel, with an energy that is believed."""


@dataclass(frozen=True, kw_only=True)
class UpdateStatistics:
    """Statistics of one step's update; means over rows or updates."""

    ratio_deviation: float
    """Largest |ratio - 1| before the first update; 0 when nothing was trained or no ratio is formed."""
    loss: float
    kl: float
    """Distance to the base policy; 0 when switched off. With GRPO the divergence of the denoising steps, nats
    per latent number; on the forward process the mean square distance of velocities."""
    clip_fraction: float
    grad_norm: float
    """Before clipping."""
    learning_rate: float
    updates: int


class Algorithm(Protocol):
    """One way to learn from a step's samples."""

    needs_trajectory: ClassVar[bool]
    """Whether samples have to come with their path."""
    needs_average: ClassVar[bool]
    """Whether a moving average of the policy is kept, whatever the hold says."""
    samples_average: ClassVar[bool]
    """Whether that average is the policy: what samples, what is evaluated and what the run ends with."""
    learns_as_data: ClassVar[bool]
    """Whether the samples it learns from are the policy's targets, as the crystals of pretraining were."""
    defaults: ClassVar[Mapping[str, Any]]
    """Fields of the run's configuration that this algorithm wants where the user says nothing."""
    Settings: ClassVar[type[AlgorithmSettings]]
    """Model of ``algorithm_settings``."""

    def __init__(self, context: Context) -> None:
        """Bind networks, optimiser and settings."""
        ...

    @staticmethod
    def advantages(valued: Valued, learning: OptimizerSettings, hold: Hold, /) -> Advantages:
        """Say how much each sample is to be learnt from, and in which direction."""
        ...

    def score_gradient(self, batch: Batch, index: int, *, seed: int) -> Tensor:
        """Return the gradient of one sample's log-likelihood, or of what stands for it: (W,) trained weights.

        Parameters
        ----------
        batch
            Sampled by the current policy.
        index
            Of the sample.
        seed
            Fixes the time at which it is taken.
        """
        ...

    def update(
        self, batch: Batch, *, run_seed: int, step: int, kl_weight: float, on_progress: Callable[[], None]
    ) -> UpdateStatistics:
        """Change the trained network.

        Parameters
        ----------
        batch
            Sampled by the current policy.
        run_seed, step
            Fix everything random.
        kl_weight
            Weight of the divergence to the base policy at this step.
        on_progress
            Called after every forward pass; may raise to abandon the update.
        """
        ...


def group_advantages(valued: Valued, learning: OptimizerSettings, hold: Hold) -> Advantages:
    """Compare each sample with its group: what all algorithms but expert iteration learn from."""
    return compute_advantages(
        valued.rewards,
        valued.groups,
        std=learning.resolved_scale,
        clip=learning.advantage_clip,
        negative_scale=hold.negative_scale,
    )
