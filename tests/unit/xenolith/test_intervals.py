"""Intervals of shares."""

import math

import pytest

from xenolith.intervals import wilson


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
