"""The policy under training: the generator's own denoiser and sampler, so both sides share every line."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from generator_svc.diffusion.sampler import SamplerSettings, log_density, transition
from generator_svc.networks.denoiser import Denoiser
from generator_svc.networks.lora import adapter_disabled
from generator_svc.networks.ragged import Ragged
from trainer_svc.grpo.rollouts import Rows

__all__ = ["DiffusionPolicy", "Policy", "StepDistribution", "WithoutAdapter"]


@dataclass(frozen=True, kw_only=True)
class StepDistribution:
    """Gaussian transitions of R rows with P atoms together."""

    mean: Tensor
    """(P, L)."""
    std: Tensor
    """(P, 1) above 0."""
    log_prob: Tensor
    """(R,) log-density of the observed next states, averaged over atoms x channels."""


class Policy(Protocol):
    """The interface of a policy that the update needs."""

    @property
    def network(self) -> nn.Module:
        """The weights that are trained."""
        ...

    def evaluate(self, rows: Rows) -> StepDistribution:
        """Give the transitions of R rows under the current weights."""
        ...

    def sensitivity(self, steps: int) -> Tensor:
        """Give (S,) how far, in deviations, each step's mean moves per unit of the network's output."""
        ...

    def mean_over_atoms(self, values: Tensor, rows: Rows) -> Tensor:
        """Average (P,) over the atoms of each row: (R,)."""
        ...


class DiffusionPolicy:
    """A denoiser with its sampler settings."""

    def __init__(self, denoiser: Denoiser, settings: SamplerSettings) -> None:
        self.denoiser = denoiser
        self.settings = settings

    @property
    def network(self) -> nn.Module:
        """The denoiser."""
        return self.denoiser

    def evaluate(self, rows: Rows) -> StepDistribution:
        """Give the transitions of R rows under the current weights."""
        ragged = Ragged(rows.num_atoms)
        policy = transition(self.denoiser, rows.latents, rows.step, ragged, self.settings, rows.conditions)
        return StepDistribution(
            mean=policy.mean,
            std=ragged.expand(policy.std[:, None]),
            log_prob=log_density(rows.latents_next, policy, ragged),
        )

    def sensitivity(self, steps: int) -> Tensor:
        """Give (S,) how far, in deviations, each step's mean moves per unit of the network's output.

        The mean is linear in the output, so two constant outputs tell; infinite where a step has no noise.
        """
        ragged = Ragged(torch.ones(steps, dtype=torch.int64))
        latents, step = torch.zeros(steps, 1), torch.arange(steps)
        low, high = (
            transition(_constant(value), latents, step, ragged, self.settings) for value in (0.0, 1.0)
        )
        return (high.mean - low.mean).abs().squeeze(1) / low.std

    def mean_over_atoms(self, values: Tensor, rows: Rows) -> Tensor:
        """Average (P,) over the atoms of each row: (R,)."""
        return Ragged(rows.num_atoms).mean(values[:, None]).squeeze(1)


class WithoutAdapter(DiffusionPolicy):
    """The policy as it was before its adapter: the same weights, one network for both."""

    def evaluate(self, rows: Rows) -> StepDistribution:
        """Give the transitions of R rows with the adapter switched off."""
        with adapter_disabled(self.denoiser):
            return super().evaluate(rows)


def _constant(value: float) -> Callable[..., Tensor]:
    """Stand in for a network whose output is the same everywhere."""
    return lambda latents, *_: torch.full_like(latents, value)
