"""Fronts of a sweep, and which setting is robust."""

from xenolith.analysis.fronts import Outcome, conclusion, front, standings
from xenolith.analysis.sweep_page import sweep_page
from xenolith.intervals import Estimate


def share(value, margin=0.02):
    return Estimate(value=value, low=value - margin, high=value + margin)


def outcome(setting, seed, novel, metastable, msun):
    return Outcome(
        setting=setting,
        seed=seed,
        novel=share(novel),
        metastable=share(metastable),
        msun=share(msun),
        unique=share(0.9),
    )


BOTH = [
    outcome("balanced", 0, 0.9, 0.5, 0.45),
    outcome("stable", 0, 0.7, 0.6, 0.40),
    outcome("poor", 0, 0.7, 0.4, 0.30),
    outcome("balanced", 1, 0.88, 0.52, 0.44),
    outcome("stable", 1, 0.6, 0.7, 0.45),
    outcome("poor", 1, 0.7, 0.3, 0.20),
]


def test_a_point_that_another_exceeds_without_loss_is_not_on_the_front():
    assert front([(0.9, 0.5), (0.7, 0.6), (0.7, 0.4), (0.9, 0.5), (0.6, 0.6)]) == [0, 1, 3]
    assert front([]) == []


def test_a_setting_is_robust_if_nothing_beats_it_in_any_seed():
    found = {standing.setting: standing for standing in standings(BOTH)}
    assert list(found) == ["balanced", "stable", "poor"]
    assert found["balanced"].robust(2)
    assert (found["stable"].on_front, found["stable"].as_good) == (2, 1)
    assert not found["stable"].robust(2)
    assert (found["poor"].on_front, found["poor"].worst_msun) == (0, 0.20)
    assert "One setting is robust" in conclusion(list(found.values()), 2, 0)
    assert conclusion(list(found.values()), 2, 0).endswith("balanced.")


def test_what_is_missing_is_said_and_a_setting_is_not_robust_without_it():
    found = standings(BOTH[:5])
    assert not any(standing.robust(3) for standing in found)
    told = conclusion(found, 3, 4)
    assert told.startswith("No setting is robust. Nearest to it is balanced")
    assert told.endswith("4 runs have no outcome yet.")
    assert "One seed cannot tell" in conclusion(found, 1, 0)
    assert conclusion([], 2, 6).startswith("Nothing was evaluated yet")


def test_the_page_says_it_and_draws_each_seed():
    base = [outcome("", seed, 0.95, 0.1, 0.08) for seed in (0, 1)]
    page = sweep_page("weights <1>", BOTH, base, settings=3, seeds=2)
    assert page.count("<svg") == 2
    assert "One setting is robust" in page
    assert "weights &lt;1&gt;" in page
    assert "http" not in page  # needs no network
    assert "0 seeds" not in sweep_page("empty", [], [], settings=3, seeds=2)
