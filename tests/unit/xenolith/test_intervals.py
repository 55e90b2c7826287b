"""Intervals of shares."""

import math

import numpy as np
import pytest

from xenolith.intervals import bootstrap, wilson


def test_the_interval_is_wilsons():
    low, high = wilson(15, 100)
    # Statistics: 15 of 100 gives 0.0931 to 0.2328.
    assert math.isclose(low, 0.0931, abs_tol=2e-4)
    assert math.isclose(high, 0.2328, abs_tol=2e-4)
    assert wilson(0, 50)[0] == 0.0 < wilson(0, 50)[1]
    assert wilson(50, 50)[1] == 1.0 > wilson(50, 50)[0]


@pytest.mark.parametrize("total", [1, 3, 50, 1000, 8900])
def test_the_share_itself_is_always_inside(total):
    for hits in {0, 1, total // 2, total - 1, total}:
        low, high = wilson(hits, total)
        assert 0.0 <= low <= hits / total <= high <= 1.0
        assert low < high


def test_bootstrap_agrees_with_resampling():
    flags = np.arange(256) < 60
    rng = np.random.default_rng(0)
    means = [rng.choice(flags, len(flags)).mean() for _ in range(4000)]
    estimate = bootstrap(flags, resamples=4000, seed=1)
    assert estimate.value == pytest.approx(60 / 256)
    np.testing.assert_allclose([estimate.low, estimate.high], np.quantile(means, [0.025, 0.975]), atol=0.009)


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
