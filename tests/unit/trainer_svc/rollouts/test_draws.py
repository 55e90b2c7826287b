"""What is sampled is a function of the seed."""

import pytest

from trainer_svc.config.run_config import AtomCounts, EarlyStopping
from trainer_svc.errors import ConfigError
from trainer_svc.rollouts.draws import AtomCountPrior, evaluation_seeds, group_counts, member_seeds
from trainer_svc.training.stopping import reason_to_stop
from xenolith.v1 import generator_pb2

PRIOR = [
    generator_pb2.AtomCountProbability(num_atoms=n, probability=p) for n, p in ((2, 0.2), (4, 0.5), (8, 0.3))
]


def prior(**wanted):
    return AtomCountPrior(PRIOR, AtomCounts(**wanted), max_atoms=10)


def test_counts_follow_the_prior():
    counts = prior().draw(20_000, seed=0)
    assert {2, 4, 8} == set(counts.tolist())
    assert (counts == 4).mean() == pytest.approx(0.5, abs=0.02)


def test_counts_inside_limits_and_choices():
    assert set(prior(min=3, max=5).draw(100, 0).tolist()) == {4}
    choices = prior(choices=(3, 7)).draw(2_000, 0)
    assert (choices == 3).mean() == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("wanted", [{"min": 9}, {"choices": (4, 11)}, {"min": 5, "max": 6}])
def test_impossible_counts_are_refused(wanted):
    with pytest.raises(ConfigError, match="atom_counts"):
        prior(**wanted)


def test_seeds_of_training_and_evaluation_never_meet():
    training = {seed for step in range(50) for group in range(5) for seed in member_seeds(0, step, group, 32)}
    assert not training & set(evaluation_seeds(0, 1000))
    assert member_seeds(0, 1, 0, 2) == member_seeds(0, 1, 0, 3)[:2]


def test_groups_are_drawn_anew_each_step():
    assert group_counts([prior()] * 50, 0, 1) == group_counts([prior()] * 50, 0, 1)
    assert group_counts([prior()] * 50, 0, 1) != group_counts([prior()] * 50, 0, 2)
    assert group_counts([prior()] * 50, 0, 1) != group_counts([prior()] * 50, 1, 1)


RISING = [0.01 * step for step in range(30)]


def test_no_stop_while_the_reward_rises_or_when_switched_off():
    assert reason_to_stop(EarlyStopping(patience=3, window=2), RISING, 1.0) == ""
    assert reason_to_stop(EarlyStopping(patience=0), [0.5] * 100, 1.0) == ""


def test_stop_on_a_plateau_after_patience():
    settings = EarlyStopping(patience=3, window=2, min_delta=0.001)
    plateau = RISING + [0.29] * 4
    assert reason_to_stop(settings, plateau[:-1], 1.0) == ""
    assert "3 steps" in reason_to_stop(settings, plateau, 1.0)


def test_stop_after_the_time_allowed():
    settings = EarlyStopping(max_training_s=60.0)
    assert reason_to_stop(settings, [0.1], 1.0, training_s=59.0) == ""
    assert "60 s" in reason_to_stop(settings, [0.1], 1.0, training_s=61.0)


def test_stop_on_mode_collapse():
    settings = EarlyStopping(min_unique=0.5)
    assert reason_to_stop(settings, [0.1], 0.5) == ""
    assert "repeats itself" in reason_to_stop(settings, [0.1], 0.4)
