"""What is sampled is a function of the seed."""

import numpy as np
import pytest

from trainer_svc.config.run_config import AtomCounts, EarlyStopping
from trainer_svc.errors import ConfigError
from trainer_svc.rollouts.curriculum import Successes
from trainer_svc.rollouts.draws import AtomCountPrior, evaluation_seeds, group_counts, member_seeds
from trainer_svc.training.stopping import collapse, over_budget, plateau
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
    assert plateau(EarlyStopping(patience=3, window=2), RISING) == ""
    assert plateau(EarlyStopping(patience=0), [0.5] * 100) == ""


def test_stop_on_a_plateau_after_patience():
    settings = EarlyStopping(patience=3, window=2, min_delta=0.001)
    flat = RISING + [0.29] * 4
    assert plateau(settings, flat[:-1]) == ""
    assert "3 steps" in plateau(settings, flat)


@pytest.mark.parametrize(
    ("limit", "before", "after", "said"),
    [
        ("max_training_s", {"training_s": 59.0}, {"training_s": 61.0}, "60 s"),
        ("max_oracle_calls", {"oracle_calls": 59}, {"oracle_calls": 60}, "limit of 60"),
        ("max_calculator_evaluations", {"calculator_evaluations": 59}, {"calculator_evaluations": 60}, "60"),
    ],
)
def test_stop_at_each_limit(limit, before, after, said):
    spent = {"training_s": 0.0, "oracle_calls": 0, "calculator_evaluations": 0}
    settings = EarlyStopping(**{limit: 60})
    assert over_budget(settings, **spent | before) == ""
    assert said in over_budget(settings, **spent | after)
    assert over_budget(EarlyStopping(), **spent | after) == ""


def test_repetition_is_a_collapse():
    settings = EarlyStopping(min_unique=0.5)
    assert collapse(settings, 0.5) == ""
    assert "repeats itself" in collapse(settings, 0.4)


def test_losing_chemical_systems_is_a_collapse():
    settings = EarlyStopping(min_systems=0.8, window=2)
    assert collapse(settings, 1.0, [0.9, 0.9, 0.8, 0.7]) == ""
    assert collapse(settings, 1.0, [0.9, 0.9, 0.7]) == ""  # the windows would overlap
    assert "chemical systems" in collapse(settings, 1.0, [0.9, 0.9, 0.7, 0.7])


def test_groups_go_where_some_succeed_and_some_fail():
    successes = Successes()
    flat = successes.weights([2, 8, 20], floor=0.1)
    assert np.ptp(flat) == 0.0
    num_atoms = np.array([2] * 30 + [8] * 30 + [20] * 30, dtype=np.int32)
    wanted = np.array([True] * 29 + [False] + [True, False] * 15 + [False] * 30)
    for _ in range(5):
        successes.add(num_atoms, wanted)
    small, medium, large = successes.weights([2, 8, 20], floor=0.1)
    assert medium > 2 * small
    assert medium > 2 * large
    assert large > 0.1  # never out of reach
    again = Successes(successes.counted)
    np.testing.assert_array_equal(again.weights([2, 8, 20], 0.1), [small, medium, large])
