"""Headline metrics and their intervals."""

import numpy as np
import pytest

from trainer_svc.evaluation.continuous import continuous_metrics
from trainer_svc.evaluation.headline import bootstrap, estimates, headline_flags, shares
from trainer_svc.rewards.measurements import Measurements, measurements_from
from xenolith.intervals import wilson
from xenolith.v1 import crystal_pb2, oracle_pb2


def batch(**columns):
    size = len(next(iter(columns.values())))
    values = {name: np.array(column, dtype=float) for name, column in columns.items()}
    return Measurements(status=("OK",) * size, values=values)


def test_definitions():
    measured = batch(
        valid=[1, 1, 1, 1, 1, 0, 1],
        unique=[1, 1, 1, 0, 1, 1, 1],
        novel=[1, 1, 1, 1, 0, 1, 1],
        e_above_hull=[0.0999, 0.1, 0.0, -0.2, 0.05, 0.0, np.nan],
    )
    flags = headline_flags(measured)
    assert flags["metastable"].tolist() == [True, False, True, True, True, False, False]
    assert flags["stable"].tolist() == [False, False, True, True, False, False, False]
    assert flags["msun"].tolist() == [True, False, True, False, False, False, False]
    assert flags["sun"].tolist() == [False, False, True, False, False, False, False]
    assert shares(measured)["msun"] == pytest.approx(2 / 7)


def test_rounding_does_not_decide_what_is_stable():
    measured = batch(valid=[1] * 4, unique=[1] * 4, novel=[1] * 4, e_above_hull=[3e-6, -3e-6, 1e-4, -1e-4])
    assert headline_flags(measured)["stable"].tolist() == [True, True, False, True]
    assert headline_flags(measured)["sun"].tolist() == [True, True, False, True]


def test_continuous_sun_by_hand():
    measured = batch(
        e_above_hull=[-0.3, 0.0, 0.4289 / 2, 0.9, np.nan, 0.0],
        continuous_uniqueness=[0.5, 0.6, 0.5, 0.5, 0.5, np.nan],
        continuous_novelty=[0.4, 0.5, 0.4, 0.4, 0.4, np.nan],
    )
    found = continuous_metrics(measured)
    assert found["continuous_stability"] == pytest.approx((1 + 1 + 0.5 + 1) / 6)
    assert found["continuous_novelty"] == pytest.approx(2.1 / 6)
    assert found["continuous_sun"] == pytest.approx((0.2 + 0.3 + 0.1) / 6)
    assert continuous_metrics(batch(e_above_hull=[0.0])) == {}


def test_what_was_not_measured_is_not_achieved():
    assert set(shares(Measurements(status=("MALFORMED",) * 3)).values()) == {0.0}


def test_bootstrap_agrees_with_resampling():
    flags = np.arange(256) < 60
    rng = np.random.default_rng(0)
    means = [rng.choice(flags, len(flags)).mean() for _ in range(4000)]
    estimate = bootstrap(flags, resamples=4000, seed=1)
    assert estimate.value == pytest.approx(60 / 256)
    np.testing.assert_allclose([estimate.low, estimate.high], np.quantile(means, [0.025, 0.975]), atol=0.009)


def test_intervals_are_reproducible_and_hold_the_value():
    measured = batch(
        valid=np.ones(50), unique=np.ones(50), novel=np.arange(50) % 2, e_above_hull=np.zeros(50)
    )
    first = estimates(measured, resamples=500, seed=3)
    assert first == estimates(measured, resamples=500, seed=3)
    assert all(e.low <= e.value <= e.high for e in first.values())


@pytest.mark.parametrize("size", [1, 20, 1000])
def test_samples_that_all_agree_are_no_certainty(size):
    none = bootstrap(np.zeros(size, dtype=bool), resamples=500, seed=0)
    every = bootstrap(np.ones(size, dtype=bool), resamples=500, seed=0)
    far_end = wilson(0, size)[1]
    assert (none.value, none.low, none.high) == (0.0, 0.0, far_end)
    assert (every.value, every.high) == (1.0, 1.0)
    assert every.low == pytest.approx(1 - far_end)
    # Wilson's for 0 of n is z^2 / (n + z^2).
    assert far_end == pytest.approx(1.96**2 / (size + 1.96**2))


def test_absent_fields_of_a_score_are_nan_and_never_zero():
    ok = oracle_pb2.StructureScore(
        status=crystal_pb2.STRUCTURE_STATUS_OK, valid=True, e_above_hull=0.0, novel=False, duplicate_of=0
    )
    ok.properties["band_gap"] = 1.5
    bad = oracle_pb2.StructureScore(status=crystal_pb2.STRUCTURE_STATUS_TOO_CLOSE, valid=False)
    measured = measurements_from([ok, bad])
    assert measured.status == ("OK", "TOO_CLOSE")
    assert measured.column("e_above_hull")[0] == 0.0
    assert np.isnan(measured.column("e_above_hull")[1])
    assert measured.column("novel")[0] == 0.0
    assert np.isnan(measured.column("novel")[1])
    assert measured.column("properties.band_gap")[0] == 1.5
    assert measured.duplicate_of.tolist() == [0, -1]
    assert np.isnan(measured.column("never heard of")).all()


def test_a_status_of_a_later_contract_keeps_its_number():
    assert measurements_from([oracle_pb2.StructureScore(status=77)]).status == ("STATUS_77",)
