"""Shares in an evaluation's message."""

import pytest

from xenolith.contract.evaluations import estimate_of, put_estimate
from xenolith.intervals import Estimate
from xenolith.v1 import trainer_pb2

SHARE = Estimate(value=0.5, low=0.25, high=0.75)


@pytest.mark.parametrize("name", ["msun", "a_share_of_tomorrow"])
@pytest.mark.parametrize("kind", [trainer_pb2.Evaluation, trainer_pb2.RelaxedEvaluation])
def test_a_share_is_found_whether_or_not_it_has_a_field(kind, name):
    message = kind()
    assert estimate_of(message, name) is None
    put_estimate(message, name, SHARE)
    assert estimate_of(kind.FromString(message.SerializeToString()), name) == SHARE


def test_a_share_of_nothing_is_a_measured_zero():
    message = trainer_pb2.Evaluation()
    put_estimate(message, "sun", Estimate(value=0.0, low=0.0, high=0.0))
    assert estimate_of(message, "sun") == Estimate(value=0.0, low=0.0, high=0.0)
