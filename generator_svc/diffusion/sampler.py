"""DDIM sampling (arXiv 2010.02502) and the Gaussian log-probabilities of its steps.

The generator samples with these functions and the trainer recomputes log-probabilities with the same ones,
so that both sides agree to rounding and the importance ratio before the first update is 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from generator_svc.networks.conditions import Conditions
from generator_svc.networks.denoiser import Denoiser
from generator_svc.networks.ragged import Ragged
from generator_svc.networks.schedule import alpha_sigma, time_grid
from generator_svc.turns import Turns, finished

__all__ = [
    "SamplerSettings",
    "SamplingCancelledError",
    "Trajectory",
    "Transition",
    "Velocity",
    "denoise",
    "log_density",
    "noise",
    "sample",
    "sample_in_turns",
    "transition",
]

Velocity = Callable[[Tensor, Tensor, Ragged, Conditions | None], Tensor]
"""What a denoiser computes: velocity (T, d) of (latents (T, d), time (B,), ragged, condition)."""


@dataclass(frozen=True, kw_only=True)
class SamplerSettings:
    """How latents are sampled."""

    steps: int = 50
    """Denoising steps S, at least 1."""
    eta: float = 1.0
    """Noise of each step, 0 (deterministic) to 1 (ancestral)."""
    guidance_scale: float = 1.0
    """Classifier-free guidance; 1 is the plain conditional model."""

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"steps must be at least 1, got {self.steps}")
        if not 0 <= self.eta <= 1:
            raise ValueError(f"eta must be in [0, 1], got {self.eta}")


@dataclass(frozen=True)
class Transition:
    """Gaussian policy of one denoising step, z_next ~ N(mean, std^2)."""

    mean: Tensor
    """(T, latent_dim)."""
    std: Tensor
    """(B,); zero for the last step and wherever eta is 0."""


@dataclass(frozen=True)
class Trajectory:
    """Latents of every step of a sampled batch."""

    ragged: Ragged
    latents: Tensor
    """(S + 1, T, latent_dim), from pure noise to the sample, standardised."""
    log_probs: Tensor
    """(S, B) log density of each step, mean over atoms and channels; zero where the step has no noise."""

    @property
    def sample(self) -> Tensor:
        """(T, latent_dim) final latents."""
        return self.latents[-1]


def transition(
    denoiser: Velocity,
    latents: Tensor,
    step: Tensor,
    ragged: Ragged,
    settings: SamplerSettings,
    condition: Conditions | None = None,
) -> Transition:
    """Policy of step number `step` (B,), 0 the noisiest; steps may differ between structures of the batch."""
    grid = time_grid(settings.steps, latents.device)
    now, after = grid[step], grid[step + 1]
    velocity = _guided(denoiser, latents, now, ragged, settings, condition)
    alpha, sigma = alpha_sigma(now)
    alpha_next, sigma_next = alpha_sigma(after)
    alpha_next = torch.where(after > 0, alpha_next, torch.ones_like(alpha_next))
    sigma_next = torch.where(after > 0, sigma_next, torch.zeros_like(sigma_next))
    ratio = (alpha / alpha_next).square().clamp_max(1.0)
    std = settings.eta * (sigma_next / sigma) * (1 - ratio).clamp_min(0).sqrt()
    direction = (sigma_next.square() - std.square()).clamp_min(0).sqrt()
    # One linear combination of z_t and v per structure: x0 = alpha z - sigma v, eps = sigma z + alpha v.
    keep = ragged.expand((alpha_next * alpha + direction * sigma)[:, None])
    move = ragged.expand((direction * alpha - alpha_next * sigma)[:, None])
    return Transition(mean=keep * latents + move * velocity, std=std)


def log_density(latents_next: Tensor, policy: Transition, ragged: Ragged) -> Tensor:
    """(B,) log density of (T, latent_dim) under the policy, mean over atoms and channels.

    Zero for structures whose step has no noise; such a step cannot be trained.
    """
    std = policy.std.clamp_min(1e-12)
    residual = (latents_next - policy.mean) / ragged.expand(std[:, None])
    square = ragged.mean(residual.square().mean(dim=-1, keepdim=True)).squeeze(1)
    density = -0.5 * square - std.log() - 0.5 * math.log(2 * math.pi)
    return torch.where(policy.std > 0, density, torch.zeros_like(density))


def noise(
    num_atoms: Sequence[int],
    seeds: Sequence[int],
    steps: int,
    latent_dim: int,
    initial_seeds: Sequence[int] | None = None,
) -> Tensor:
    """(S + 1, T, latent_dim) standard normal noise; a structure's depends on its own seed and size alone.

    With `initial_seeds` the starting point comes from those instead, so that samples can share it.
    """
    parts = []
    for index, (count, seed) in enumerate(zip(num_atoms, seeds, strict=True)):
        generator = torch.Generator().manual_seed(seed)
        draws = torch.randn(steps + 1, count, latent_dim, generator=generator)
        if initial_seeds is not None:
            generator = torch.Generator().manual_seed(initial_seeds[index])
            draws[0] = torch.randn(count, latent_dim, generator=generator)
        parts.append(draws)
    return torch.cat(parts, dim=1)


def denoise(
    denoiser: Denoiser,
    ragged: Ragged,
    draws: Tensor,
    settings: SamplerSettings,
    condition: Conditions | None = None,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield (latents, log_prob) after each step, given the noise of `noise` on the denoiser's device."""
    latents = draws[0]
    for index in range(settings.steps):
        step = torch.full((ragged.size,), index, dtype=torch.long, device=latents.device)
        policy = transition(denoiser, latents, step, ragged, settings, condition)
        latents = policy.mean + ragged.expand(policy.std[:, None]) * draws[index + 1]
        yield latents, log_density(latents, policy, ragged)


def sample(
    denoiser: Denoiser,
    num_atoms: Sequence[int],
    seeds: Sequence[int],
    settings: SamplerSettings,
    condition: Conditions | None = None,
    initial_seeds: Sequence[int] | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Trajectory:
    """Sample a batch and keep its trajectory.

    Raises
    ------
    SamplingCancelledError
        `cancelled` answered true between two steps.
    """
    return finished(
        sample_in_turns(denoiser, num_atoms, seeds, settings, condition, initial_seeds, cancelled)
    )


@torch.no_grad()
def sample_in_turns(
    denoiser: Denoiser,
    num_atoms: Sequence[int],
    seeds: Sequence[int],
    settings: SamplerSettings,
    condition: Conditions | None = None,
    initial_seeds: Sequence[int] | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Turns[Trajectory]:
    """As `sample`, pausing after every step so that others can have their turn."""
    device = next(denoiser.parameters()).device
    ragged = Ragged(torch.tensor(list(num_atoms), dtype=torch.long, device=device))
    draws = noise(num_atoms, seeds, settings.steps, denoiser.config.latent_dim, initial_seeds).to(device)
    latents, log_probs = [draws[0]], []
    for after, density in denoise(denoiser, ragged, draws, settings, condition):
        if cancelled():
            raise SamplingCancelledError
        latents.append(after)
        log_probs.append(density)
        yield
    return Trajectory(ragged=ragged, latents=torch.stack(latents), log_probs=torch.stack(log_probs))


class SamplingCancelledError(Exception):
    """The caller no longer wants the sample."""


def _guided(
    denoiser: Velocity,
    latents: Tensor,
    time: Tensor,
    ragged: Ragged,
    settings: SamplerSettings,
    condition: Conditions | None,
) -> Tensor:
    """Velocity under classifier-free guidance (arXiv 2207.12598), one forward for both of its halves.

    Only structures that carry a condition are evaluated a second time, without it.
    """
    if condition is None or settings.guidance_scale == 1.0 or len(condition.rows) == 0:
        return denoiser(latents, time, ragged, condition)
    rows = condition.rows
    atoms = torch.isin(ragged.structure_index, rows).nonzero().squeeze(1)
    both = Ragged(torch.cat([ragged.num_atoms, ragged.num_atoms[rows]]))
    velocity = denoiser(
        torch.cat([latents, latents[atoms]]),
        torch.cat([time, time[rows]]),
        both,
        condition.followed_by_none(len(rows)),
    )
    conditional, plain = velocity.split([len(latents), len(atoms)])
    guided = plain + settings.guidance_scale * (conditional[atoms] - plain)
    return conditional.index_copy(0, atoms, guided)
