"""The update on a real small denoiser: ratio, divergence, clip, determinism, convergence."""

import copy

import numpy as np
import pytest
import torch

from generator_svc.diffusion.sampler import SamplerSettings, sample
from generator_svc.networks.denoiser import Denoiser, DenoiserConfig
from trainer_svc.algorithms.advantages import compute_advantages
from trainer_svc.algorithms.optimizer import make_optimizer
from trainer_svc.algorithms.plan import plan_pass
from trainer_svc.config.run_config import OptimizerSettings
from trainer_svc.errors import RatioError
from trainer_svc.grpo import Rollouts, Updater
from trainer_svc.grpo.loss import LossInputs, gaussian_kl, grpo_loss
from trainer_svc.grpo.policy import DiffusionPolicy
from trainer_svc.seeds import derive_seed

SAMPLER = SamplerSettings(steps=8, eta=1.0)
COUNTS = [3] * 8 + [5] * 8


@pytest.fixture
def denoiser():
    torch.manual_seed(0)
    network = Denoiser(DenoiserConfig(width=32, heads=2, layers=2, max_atoms=6))
    for weight in network.parameters():  # adaLN-Zero starts at zero output; a trained network does not
        torch.nn.init.normal_(weight, std=0.05)
    return network


def rollouts_of(network, step, reward):
    seeds = [derive_seed(0, "sample", step, index) for index in range(len(COUNTS))]
    trajectory = sample(network, COUNTS, seeds, SAMPLER)
    log_probs = trajectory.log_probs.T.clone()
    log_probs[:, -1] = float("nan")  # the last step adds no noise
    rewards = reward(trajectory)
    advantages = compute_advantages(rewards, np.repeat([0, 1], 8), std="group")
    return rewards, Rollouts(
        latents=trajectory.latents,
        num_atoms=torch.tensor(COUNTS),
        old_log_probs=log_probs,
        advantages=torch.tensor(advantages.values, dtype=torch.float32),
    )


def near_one(trajectory):
    distance = (trajectory.sample - 1.0).square().mean(dim=-1, keepdim=True)
    return -trajectory.ragged.mean(distance).squeeze(1).double().numpy()


def updater_of(network, **settings):
    every_step = {"timestep_window": 1.0, "timestep_fraction": 0.5, "normalize_ratio": False}
    options = OptimizerSettings(
        **{"learning_rate": 3e-3, "clip_low": 0.05, "clip_high": 0.05} | every_step | settings
    )
    reference = DiffusionPolicy(copy.deepcopy(network), SAMPLER)
    return Updater(DiffusionPolicy(network, SAMPLER), reference, make_optimizer(network, options), options)


def run(updater, rollouts, step=1):
    return updater.run(rollouts, run_seed=0, step=step, on_progress=lambda: None)


def test_ratio_is_one_before_the_first_update_whatever_the_batching(denoiser):
    _, rollouts = rollouts_of(denoiser, 1, near_one)
    statistics = run(updater_of(denoiser, minibatches=3, timestep_fraction=1.0), rollouts)
    assert 0.0 <= statistics.ratio_deviation < 1e-5
    assert statistics.updates == 3


def test_a_policy_that_did_not_sample_is_refused(denoiser):
    _, rollouts = rollouts_of(denoiser, 1, near_one)
    with torch.no_grad():
        denoiser.out.bias += 0.1
    before = [weight.clone() for weight in denoiser.parameters()]
    with pytest.raises(RatioError, match="importance ratio"):
        run(updater_of(denoiser), rollouts)
    assert all(torch.equal(a, b) for a, b in zip(before, denoiser.parameters(), strict=True))


def test_missing_log_probs_of_a_trained_step_are_refused(denoiser):
    _, rollouts = rollouts_of(denoiser, 1, near_one)
    assert rollouts.trainable_steps() == list(range(7))
    rollouts.old_log_probs[3] = float("nan")
    assert rollouts.trainable_steps() == []
    with pytest.raises(ValueError, match="no denoising step"):
        run(updater_of(denoiser), rollouts)


def test_reward_rises(denoiser):
    updater = updater_of(denoiser, kl_weight=0.0, passes=2)
    means = []
    for step in range(1, 31):
        rewards, rollouts = rollouts_of(denoiser, step, near_one)
        run(updater, rollouts, step)
        means.append(rewards.mean())
    assert np.mean(means[-5:]) > np.mean(means[:5]) + 0.2


def test_divergence_holds_the_policy_to_its_base(denoiser):
    drift = {}
    for weight in (0.0, 100.0):
        network = copy.deepcopy(denoiser)
        base = copy.deepcopy(denoiser)
        updater = updater_of(network, kl_weight=weight, passes=2)
        for step in range(1, 11):
            _, rollouts = rollouts_of(network, step, near_one)
            run(updater, rollouts, step)
        rows = rollouts.rows(range(len(COUNTS)), range(7))
        new, old = (DiffusionPolicy(n, SAMPLER).evaluate(rows) for n in (network, base))
        drift[weight] = float(gaussian_kl(new.mean, old.mean, new.std).mean().detach())
    assert drift[100.0] < drift[0.0] / 4


def test_equal_rewards_change_nothing(denoiser):
    _, rollouts = rollouts_of(denoiser, 1, lambda _: np.ones(len(COUNTS)))
    before = [weight.clone() for weight in denoiser.parameters()]
    assert run(updater_of(denoiser), rollouts).updates == 0
    assert all(torch.equal(a, b) for a, b in zip(before, denoiser.parameters(), strict=True))


def test_update_is_reproducible_bit_for_bit(denoiser):
    _, rollouts = rollouts_of(denoiser, 1, near_one)
    networks = [copy.deepcopy(denoiser) for _ in range(2)]
    for network in networks:
        run(updater_of(network, passes=2, minibatches=2), rollouts)
    pairs = zip(networks[0].parameters(), networks[1].parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert not torch.equal(networks[0].out.weight, denoiser.out.weight)


def test_rows_gather_the_right_atoms(denoiser):
    _, rollouts = rollouts_of(denoiser, 1, near_one)
    rows = rollouts.rows([9, 0], [2, 5])
    starts = {9: 8 * 3 + 5, 0: 0}
    expected = [rollouts.latents[s, starts[i] : starts[i] + COUNTS[i]] for i in (9, 0) for s in (2, 5)]
    assert torch.equal(rows.latents, torch.cat(expected))
    assert rows.num_atoms.tolist() == [5, 5, 3, 3]
    assert rows.step.tolist() == [2, 5, 2, 5]


def test_plan_covers_every_structure_once():
    plan = plan_pass(range(10), [4] * 10, range(19), fraction=0.5, minibatches=3, seed=7)
    assert sorted(index for part in plan for index in part.structures) == list(range(10))
    assert all(len(part.steps) == 10 for part in plan)  # round(9.5) is 10
    assert plan == plan_pass(range(10), [4] * 10, range(19), fraction=0.5, minibatches=3, seed=7)
    assert plan != plan_pass(range(10), [4] * 10, range(19), fraction=0.5, minibatches=3, seed=8)


def loss_of(log_ratio, advantage):
    log_prob = torch.tensor([log_ratio], requires_grad=True)
    zero = torch.zeros(1)
    inputs = LossInputs(
        log_prob=log_prob,
        old_log_prob=zero,
        advantage=torch.tensor([advantage]),
        kl=zero,
        scale=torch.ones(1),
    )
    outputs = grpo_loss(inputs, clip_low=0.1, clip_high=0.2, kl_weight=0.0)
    outputs.loss.backward()
    return outputs, float(log_prob.grad)


@pytest.mark.parametrize(
    ("log_ratio", "advantage", "stopped"),
    [(0.15, 1.0, False), (0.25, 1.0, True), (-0.15, -1.0, True), (-0.15, 1.0, False), (0.25, -1.0, False)],
)
def test_clip_stops_the_gradient_where_it_should(log_ratio, advantage, stopped):
    outputs, gradient = loss_of(log_ratio, advantage)
    assert bool(outputs.clipped[0]) is stopped
    assert (gradient == 0.0) is stopped


def test_gradient_at_ratio_one_is_the_policy_gradient():
    _, gradient = loss_of(0.0, 2.5)
    assert gradient == pytest.approx(-2.5)


def test_closed_form_divergence_agrees_with_torch():
    mean, reference, std = torch.randn(4, 8), torch.randn(4, 8), torch.rand(4, 1) + 0.1
    normal = torch.distributions.Normal
    expected = torch.distributions.kl_divergence(normal(mean, std), normal(reference, std)).mean(-1)
    torch.testing.assert_close(gaussian_kl(mean, reference, std), expected)


def test_sensitivity_is_how_far_the_mean_moves_in_deviations(denoiser):
    policy = DiffusionPolicy(denoiser, SAMPLER)
    sensitivity = policy.sensitivity(8)
    _, rollouts = rollouts_of(denoiser, 1, near_one)
    rows = rollouts.rows([0], range(7))
    before = policy.evaluate(rows)
    with torch.no_grad():
        denoiser.out.bias += 0.5
    after = policy.evaluate(rows)
    moved = ((after.mean - before.mean).abs() / before.std).mean(dim=-1).reshape(7, -1).mean(dim=-1) / 0.5
    torch.testing.assert_close(moved.detach(), sensitivity[:7], rtol=1e-3, atol=1e-4)
    assert torch.isinf(sensitivity[7])


def test_only_the_window_is_trained(denoiser):
    _, rollouts = rollouts_of(denoiser, 1, near_one)
    # Were a later step touched, its absurd log-probability would fail the ratio check.
    rollouts.old_log_probs[:, 3:7] = 100.0
    run(updater_of(denoiser, timestep_window=3 / 7, timestep_fraction=1.0), rollouts)
    with pytest.raises(RatioError):
        run(updater_of(denoiser, timestep_window=4 / 7, timestep_fraction=1.0), rollouts)


def test_reward_rises_with_normalised_ratios(denoiser):
    updater = updater_of(denoiser, kl_weight=0.0, passes=2, normalize_ratio=True)
    means = []
    for step in range(1, 31):
        rewards, rollouts = rollouts_of(denoiser, step, near_one)
        run(updater, rollouts, step)
        means.append(rewards.mean())
    assert np.mean(means[-5:]) > np.mean(means[:5]) + 0.2
