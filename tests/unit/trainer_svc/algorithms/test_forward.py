"""Algorithms on the forward process, on a real small denoiser: what they share and what each loss does."""

import copy

import numpy as np
import pytest
import torch

from generator_svc.diffusion.sampler import SamplerSettings, sample
from generator_svc.networks.denoiser import Denoiser, DenoiserConfig
from generator_svc.networks.lora import LoraConfig, add_adapter
from generator_svc.networks.ragged import Ragged
from trainer_svc.algorithms import Batch, Context, Networks, algorithm_named
from trainer_svc.algorithms.advantages import compute_advantages
from trainer_svc.algorithms.average import averaged_copy, follow
from trainer_svc.algorithms.base import Valued
from trainer_svc.algorithms.forward import Velocities
from trainer_svc.algorithms.learning import Hold, OptimizerSettings
from trainer_svc.algorithms.noising import Noising
from trainer_svc.algorithms.optimizer import make_optimizer
from trainer_svc.seeds import derive_seed

SAMPLER = SamplerSettings(steps=8, eta=1.0)
COUNTS = [3] * 16 + [5] * 16
FORWARD = ["awm", "nft", "ram", "expert"]


@pytest.fixture
def denoiser():
    torch.manual_seed(0)
    network = Denoiser(DenoiserConfig(width=32, heads=2, layers=2, max_atoms=6))
    for weight in network.parameters():  # adaLN-Zero starts at zero output; a trained network does not
        torch.nn.init.normal_(weight, std=0.05)
    return network


class Run:
    """A policy with its algorithm, learning to bring latents near 1."""

    def __init__(self, network, name, hold=None, **learning):
        self.kind, self.network = algorithm_named(name), network
        defaults = self.kind.defaults
        self.hold = Hold(**{**defaults.get("hold", {}), **(hold or {})})
        options = {
            "learning_rate": 2e-3,
            "advantage_scale": "batch",
            **defaults.get("optimizer", {}),
            **learning,
        }
        self.learning = OptimizerSettings(**options)
        averaged = self.kind.needs_average or self.hold.anchor_weight > 0
        self.average = averaged_copy(network) if averaged else None
        self.base = copy.deepcopy(network).requires_grad_(False)
        context = Context(
            networks=Networks(trained=network, base=self.base, average=self.average),
            optimizer=make_optimizer(network, self.learning),
            sampler=SAMPLER,
            learning=self.learning,
            hold=self.hold,
            settings=self.kind.Settings(),
        )
        self.algorithm = self.kind(context)

    @property
    def policy(self):
        return self.average if self.kind.samples_average else self.network

    def samples(self, step):
        seeds = [derive_seed(0, "sample", step, index) for index in range(len(COUNTS))]
        trajectory = sample(self.policy, COUNTS, seeds, SAMPLER)
        off = (trajectory.sample - 1.0).square().mean(dim=-1, keepdim=True)
        rewards = -trajectory.ragged.mean(off).squeeze(1).double().numpy()
        valued = Valued(
            rewards=rewards, groups=np.repeat([0, 1], 16), wanted=rewards > np.quantile(rewards, 0.7)
        )
        advantages = self.kind.advantages(valued, self.learning, self.hold)
        batch = Batch(
            latents=trajectory.sample,
            num_atoms=torch.tensor(COUNTS),
            advantages=torch.tensor(advantages.values, dtype=torch.float32),
        )
        return rewards, batch

    def update(self, batch, step=1, weight=None):
        weight = self.learning.kl_weight if weight is None else weight
        done = self.algorithm.update(batch, run_seed=0, step=step, kl_weight=weight, on_progress=lambda: None)
        if self.average is not None:
            follow(self.average, self.network, self.hold.decay_at(step))
        return done

    def learn(self, steps):
        means = []
        for step in range(1, steps + 1):
            rewards, batch = self.samples(step)
            self.update(batch, step)
            means.append(rewards.mean())
        return means


@pytest.mark.parametrize("name", FORWARD)
def test_reward_rises_from_final_latents_alone(denoiser, name):
    means = Run(denoiser, name, kl_weight=0.0).learn(40)
    assert np.mean(means[-5:]) > np.mean(means[:5]) + 0.1


@pytest.mark.parametrize("name", FORWARD)
def test_an_update_repeats_bit_for_bit(denoiser, name):
    first, second = (Run(copy.deepcopy(denoiser), name, minibatches=3, passes=2) for _ in range(2))
    _, batch = first.samples(1)
    assert first.update(batch) == second.update(batch)
    pairs = zip(first.network.parameters(), second.network.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert not torch.equal(first.network.out.weight, denoiser.out.weight)


def test_what_a_sample_meets_does_not_depend_on_its_minibatch(denoiser):
    _, batch = Run(denoiser, "awm").samples(1)
    noising = Noising(batch, 4, seed=7)
    together, alone = noising.rows([0, 20, 5], [0, 1, 2, 3]), noising.rows([20], [0, 1, 2, 3])
    assert torch.equal(together.time[4:8], alone.time)
    atoms = slice(4 * 3, 4 * 3 + 4 * 5)
    for name in ("clean", "noise", "noisy", "target"):
        assert torch.equal(getattr(together, name)[atoms], getattr(alone, name)), name
    assert together.advantage[4:8].tolist() == [float(batch.advantages[20])] * 4


def test_times_are_stratified(denoiser):
    _, batch = Run(denoiser, "awm").samples(1)
    time = Noising(batch, 4, seed=7).rows(range(len(COUNTS)), range(4)).time.reshape(-1, 4)
    for part in range(4):
        assert ((time[:, part] >= part / 4) & (time[:, part] <= (part + 1) / 4)).all()


def test_the_network_that_knows_the_sample_has_no_error(denoiser):
    _, batch = Run(denoiser, "awm").samples(1)
    rows = Noising(batch, 2, seed=7).rows(range(len(COUNTS)), range(2))
    torch.testing.assert_close(rows.alpha * rows.noisy - rows.sigma * rows.target, rows.clean)


def gradient(loss, velocity):
    (found,) = torch.autograd.grad(loss.sum(), velocity)
    return found


def test_the_clipped_ratio_has_the_plain_gradient_where_both_policies_agree(denoiser):
    run, clipped = Run(denoiser, "awm"), Run(denoiser, "awm", hold={"ratio_clip": 0.1})
    _, batch = run.samples(1)
    rows = Noising(batch, 2, seed=7).rows(range(len(COUNTS)), range(2))
    velocity = torch.randn_like(rows.target).requires_grad_()
    same = Velocities(trained=velocity, base=None, old=velocity.detach(), average=None)
    plain = gradient(run.algorithm.loss(rows, same), velocity)
    torch.testing.assert_close(gradient(clipped.algorithm.loss(rows, same), velocity), plain)
    # Far on the side that the advantage wants, nothing is left to gain.
    better = rows.target.clone().requires_grad_()
    moved = Velocities(trained=better, base=None, old=better.detach() + 1.0, average=None)
    good = rows.ragged.expand(rows.advantage) > 0
    assert (gradient(clipped.algorithm.loss(rows, moved), better)[good] == 0).all()


def test_ram_is_awm_under_a_divergence_of_weight_one(denoiser):
    ram, awm = Run(denoiser, "ram"), Run(denoiser, "awm")
    _, batch = ram.samples(1)
    rows = Noising(batch, 2, seed=7).rows(range(len(COUNTS)), range(2))
    velocity, base = torch.randn_like(rows.target).requires_grad_(), torch.randn_like(rows.target)
    known = Velocities(trained=velocity, base=base, old=None, average=None)
    weighted = ram.algorithm.settings.gain * awm.algorithm.loss(rows, known)
    expected = gradient(weighted + rows.mean((velocity - base).square()), velocity)
    torch.testing.assert_close(gradient(ram.algorithm.loss(rows, known), velocity), expected)


def test_nft_learns_from_both_sides_of_the_policy_that_sampled(denoiser):
    run = Run(denoiser, "nft")
    _, batch = run.samples(1)
    batch.advantages[:] = 0.0
    rows = Noising(batch, 2, seed=7).rows(range(len(COUNTS)), range(2))
    old = torch.randn_like(rows.target)
    velocity = old.clone().requires_grad_()
    known = Velocities(trained=velocity, base=None, old=old, average=None)
    # Neither good nor bad: the two sides pull equally.
    flat = gradient(run.algorithm.loss(rows, known), velocity)
    torch.testing.assert_close(flat, torch.zeros_like(flat), atol=1e-6, rtol=0)
    rows.advantage[:] = 1.0
    pulled = gradient(run.algorithm.loss(rows, known), velocity)
    assert ((pulled * (old - rows.target)).sum()) > 0  # descending leads toward the sample


def test_expert_iteration_learns_from_what_is_wanted_alone():
    wanted = np.array([True, False, False, False])
    valued = Valued(rewards=np.array([0.0, 9.0, 1.0, 2.0]), groups=np.array([0, 0, 1, 1]), wanted=wanted)
    found = algorithm_named("expert").advantages(valued, OptimizerSettings(), Hold())
    assert found.values.tolist() == [1.0, 0.0, 0.0, 0.0]
    assert found.dropped == (1,)


def drift(run):
    _, batch = run.samples(1)
    rows = Noising(batch, 4, seed=1).rows(range(len(COUNTS)), range(4))
    inputs = rows.noisy, rows.time, rows.ragged, None
    with torch.no_grad():
        return float((run.policy(*inputs) - run.base(*inputs)).square().mean())


@pytest.mark.parametrize(
    "hold",
    [{"weight": 20.0}, {"hold": {"anchor_weight": 20.0, "anchor_decay": 0.95, "anchor_warmup_steps": 0}}],
)
def test_each_hold_keeps_the_policy_nearer_to_its_base(denoiser, hold):
    held = Run(copy.deepcopy(denoiser), "awm", hold.get("hold"), kl_weight=hold.get("weight", 0.0))
    free = Run(denoiser, "awm", kl_weight=0.0)
    for run in (held, free):
        run.learn(10)
    assert drift(held) < drift(free) / 2


def test_tempered_negatives_leave_the_positives():
    rewards, groups = np.array([0.0, 1.0, 2.0, 5.0]), np.array([0, 0, 1, 1])
    plain = compute_advantages(rewards, groups).values
    tempered = compute_advantages(rewards, groups, negative_scale=0.5).values
    np.testing.assert_allclose(tempered, np.where(plain < 0, plain / 2, plain))


def test_the_divergence_weight_seeks_its_target():
    hold = Hold(kl_target=0.01)
    assert hold.next_kl_weight(0.1, 0.02) == pytest.approx(0.15)  # by the largest factor
    assert hold.next_kl_weight(0.1, 0.011) == pytest.approx(0.11)
    assert hold.next_kl_weight(0.1, 0.001) == pytest.approx(0.1 / 1.5)
    assert Hold().next_kl_weight(0.1, 5.0) == 0.1


def test_the_decay_of_the_average_rises():
    hold = Hold(anchor_decay=0.3, anchor_warmup_steps=300)
    assert hold.decay_at(1) == pytest.approx(0.001)
    assert hold.decay_at(900) == pytest.approx(0.3)


def test_the_base_of_an_adapted_policy_is_itself_without_adapter(denoiser):
    plain = copy.deepcopy(denoiser)
    add_adapter(denoiser, LoraConfig(rank=2, alpha=4.0, targets=("mlp",)), seed=0)
    with torch.no_grad():
        for name, weight in denoiser.named_parameters():
            if name.endswith(".up"):
                weight.normal_(std=0.1)
    networks = Networks(trained=denoiser, base=denoiser)
    ragged = Ragged(torch.tensor([3, 5]))
    latents, time = torch.randn(8, 8), torch.tensor([0.2, 0.7])
    with torch.no_grad():
        expected, adapted = plain(latents, time, ragged), denoiser(latents, time, ragged)
    assert torch.equal(networks.base_velocity(latents, time, ragged, None), expected)
    assert not torch.equal(adapted, expected)


def test_nothing_is_learnt_where_no_sample_differs(denoiser):
    run = Run(denoiser, "awm")
    _, batch = run.samples(1)
    batch.advantages[:] = 0.0
    before = [weight.clone() for weight in denoiser.parameters()]
    assert run.update(batch).updates == 0
    assert all(torch.equal(a, b) for a, b in zip(before, denoiser.parameters(), strict=True))


@pytest.mark.parametrize("name", FORWARD)
def test_along_a_sample_s_gradient_its_error_falls(denoiser, name):
    run = Run(denoiser, name)
    _, batch = run.samples(1)
    gradient = run.algorithm.score_gradient(batch, 20, seed=3)
    assert all(weight.grad is None for weight in denoiser.parameters())

    def error():
        rows = Noising(batch.take(20), 1, 3).rows([0], [0])
        velocity = denoiser(rows.noisy, rows.time, rows.ragged, rows.conditions)
        return float(rows.mean((velocity - rows.target).square()).detach())

    before = error()
    weights = torch.nn.utils.parameters_to_vector(denoiser.parameters())
    moved = weights + 1e-3 * gradient / gradient.norm()
    torch.nn.utils.vector_to_parameters(moved.detach(), denoiser.parameters())
    assert error() - before == pytest.approx(-1e-3 * float(gradient.norm()), rel=0.1)
