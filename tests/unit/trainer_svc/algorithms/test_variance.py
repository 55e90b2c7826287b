"""Variance of the policy gradient with groups and without."""

import numpy as np
import pytest
import torch

from trainer_svc.algorithms.variance import gradient_variance


def variances(rewards, groups, scores, samples=None):
    vectors = torch.tensor(scores, dtype=torch.float32)
    return gradient_variance(
        lambda index: vectors[index],
        np.asarray(rewards, dtype=float),
        np.asarray(groups),
        samples=samples or len(rewards),
        seed=0,
    )


def test_it_is_the_variance_of_reward_minus_baseline_times_score():
    rng = np.random.default_rng(0)
    rewards, groups, scores = rng.normal(size=12), np.repeat([0, 1, 2], 4), rng.normal(size=(12, 5))
    found = variances(rewards, groups, scores)
    centred = rewards - np.repeat([rewards[groups == g].mean() for g in range(3)], 4)
    for value, advantages in ((found.grouped, centred), (found.ungrouped, rewards - rewards.mean())):
        gradients = advantages[:, None] * scores
        assert value == pytest.approx(gradients.var(axis=0, ddof=1).sum(), rel=1e-5)


def test_groups_of_unlike_rewards_lower_it_and_equal_ones_do_not():
    rng = np.random.default_rng(1)
    scores, groups = rng.normal(size=(40, 6)), np.repeat([0, 1], 20)
    noise = rng.normal(size=40)
    apart = variances(noise + 10.0 * groups, groups, scores)
    assert apart.grouped < 0.2 * apart.ungrouped
    one = variances(noise, np.zeros(40, dtype=int), scores)
    assert one.grouped == pytest.approx(one.ungrouped)


def test_fewer_samples_than_two_tell_nothing():
    assert variances([1.0], [0], [[1.0]]) is None
    assert variances([1.0, 2.0], [0, 0], [[1.0], [2.0]], samples=1) is None
