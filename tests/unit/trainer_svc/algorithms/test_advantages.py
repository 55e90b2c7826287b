"""Advantages: group baseline, scaling, dropped groups, clip."""

import numpy as np
import pytest

from trainer_svc.algorithms.advantages import compute_advantages

GROUPS = np.array([0, 0, 0, 1, 1, 1, 2, 2, 2])
REWARDS = np.array([0.0, 1.0, 2.0, 10.0, 14.0, 18.0, 5.0, 5.0, 5.0])


@pytest.mark.parametrize("std", ["none", "group", "batch"])
def test_each_group_is_its_own_baseline(std):
    advantages = compute_advantages(REWARDS, GROUPS, std=std)
    for group in range(3):
        assert advantages.values[group == GROUPS].sum() == pytest.approx(0.0)
    assert advantages.dropped == (2,)
    assert (advantages.values[GROUPS == 2] == 0.0).all()


def test_std_modes():
    none = compute_advantages(REWARDS, GROUPS, std="none").values
    group = compute_advantages(REWARDS, GROUPS, std="group").values
    batch = compute_advantages(REWARDS, GROUPS, std="batch").values
    np.testing.assert_allclose(none[:3], [-1.0, 0.0, 1.0])
    np.testing.assert_allclose(group[:3], group[3:6])
    assert batch[5] / batch[2] == pytest.approx(4.0)
    assert np.sqrt(np.mean(batch[:6] ** 2)) == pytest.approx(1.0)  # dropped groups do not dilute the scale


def test_outliers_meet_the_clip():
    rewards = np.zeros(64)
    rewards[7] = 1000.0
    advantages = compute_advantages(rewards, np.zeros(64, dtype=np.int64), std="group", clip=5.0)
    assert advantages.values.max() == 5.0
    assert advantages.clipped == 1


def test_all_groups_dropped_gives_zeros():
    advantages = compute_advantages(np.ones(6), np.array([0, 0, 0, 1, 1, 1]))
    assert advantages.dropped == (0, 1)
    assert (advantages.values == 0.0).all()


def test_non_finite_rewards_are_refused():
    with pytest.raises(ValueError, match="finite"):
        compute_advantages(np.array([0.0, np.nan]), np.array([0, 0]))
