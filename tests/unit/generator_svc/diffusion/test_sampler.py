"""DDIM steps, their log-probabilities and the seeding of noise."""

from __future__ import annotations

import pytest
import torch

from generator_svc.diffusion.sampler import (
    SamplerSettings,
    SamplingCancelledError,
    Transition,
    log_density,
    noise,
    sample,
    transition,
)
from generator_svc.networks.denoiser import Denoiser, DenoiserConfig
from generator_svc.networks.ragged import Ragged
from generator_svc.networks.schedule import alpha_sigma


class Exact(torch.nn.Module):
    """The best denoiser of data that is one point: it always knows z_0."""

    def __init__(self, point: float) -> None:
        super().__init__()
        self.anchor = torch.nn.Parameter(torch.tensor(point))
        self.config = DenoiserConfig()

    def forward(self, latents: torch.Tensor, time: torch.Tensor, ragged: Ragged, _: object) -> torch.Tensor:
        alpha, sigma = (ragged.expand(x[:, None]) for x in alpha_sigma(time))
        eps = (latents - alpha * self.anchor) / sigma
        return alpha * eps - sigma * self.anchor


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("steps", [1, 7, 50])
def test_sampling_an_exactly_known_point_arrives_at_it(eta: float, steps: int) -> None:
    trajectory = sample(Exact(0.7), [3], [1], SamplerSettings(steps=steps, eta=eta))  # type: ignore[arg-type]
    torch.testing.assert_close(trajectory.sample, torch.full((3, 8), 0.7), rtol=1e-4, atol=1e-4)


def test_states_keep_the_variance_of_the_schedule() -> None:
    settings = SamplerSettings(steps=10, eta=1.0)
    trajectory = sample(Exact(0.0), [20] * 200, list(range(200)), settings)  # type: ignore[arg-type]
    times = torch.linspace(1, 0, 11)
    for index in range(10):
        _, sigma = alpha_sigma(times[index])
        assert trajectory.latents[index].std() == pytest.approx(float(sigma), rel=0.02)


def test_log_probabilities_are_recomputed_with_many_steps_in_one_forward(denoiser: Denoiser) -> None:
    settings = SamplerSettings(steps=12)
    trajectory = sample(denoiser, [3, 6, 1], [1, 2, 3], settings)
    ragged = Ragged(trajectory.ragged.num_atoms.repeat(12))
    step = torch.arange(12).repeat_interleave(3)
    with torch.no_grad():
        policy = transition(denoiser, trajectory.latents[:-1].flatten(0, 1), step, ragged, settings)
    again = log_density(trajectory.latents[1:].flatten(0, 1), policy, ragged).view(12, 3)
    assert (again - trajectory.log_probs).abs().max() < 1e-5
    assert (again[-1] == 0).all()


def test_log_density_is_the_gaussian_one() -> None:
    ragged = Ragged(torch.tensor([2, 3]))
    mean, value, std = torch.randn(5, 8), torch.randn(5, 8), torch.tensor([0.5, 2.0])
    expected = torch.distributions.Normal(mean, ragged.expand(std[:, None])).log_prob(value)
    expected = ragged.mean(expected.mean(dim=1, keepdim=True)).squeeze(1)
    torch.testing.assert_close(log_density(value, Transition(mean, std), ragged), expected)


def test_a_sample_depends_on_its_own_seed_alone(denoiser: Denoiser) -> None:
    settings = SamplerSettings(steps=5)
    together = sample(denoiser, [2, 4, 3], [10, 11, 12], settings)
    alone = sample(denoiser, [4], [11], settings)
    torch.testing.assert_close(together.sample[2:6], alone.sample, rtol=1e-4, atol=1e-5)


def test_seed_zero_is_a_seed_and_large_seeds_work() -> None:
    first, second = noise([3], [0], 2, 8), noise([3], [0], 2, 8)
    torch.testing.assert_close(first, second)
    assert not torch.equal(first, noise([3], [2**64 - 1], 2, 8))


def test_initial_seeds_share_the_start_and_nothing_else() -> None:
    draws = noise([3, 3], [1, 2], 2, 8, initial_seeds=[9, 9])
    torch.testing.assert_close(draws[0, :3], draws[0, 3:])
    assert not torch.equal(draws[1, :3], draws[1, 3:])


def test_cancelled_sampling_stops(denoiser: Denoiser) -> None:
    with pytest.raises(SamplingCancelledError):
        sample(denoiser, [3], [1], SamplerSettings(steps=5), cancelled=lambda: True)


@pytest.mark.parametrize(("field", "value"), [("steps", 0), ("eta", 1.5), ("eta", -0.1)])
def test_settings_out_of_range_are_refused(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=field):
        SamplerSettings(**{field: value})  # type: ignore[arg-type]
