"""The definitions of the headline metrics, by hand."""

import numpy as np
import pytest

from xenolith.contract.columns import COLUMNS
from xenolith.contract.components import DEFAULT_COMPONENTS
from xenolith.headlines import GRADES, HEADLINES, ColumnTable, flags_of, grade_means, headline
from xenolith.v1 import oracle_pb2, trainer_pb2


def batch(**columns):
    size = len(next(iter(columns.values())))
    return ColumnTable(size=size, values={name: np.array(c, dtype=float) for name, c in columns.items()})


def test_definitions():
    measured = batch(
        valid=[1, 1, 1, 1, 1, 0, 1],
        unique=[1, 1, 1, 0, 1, 1, 1],
        novel=[1, 1, 1, 1, 0, 1, 1],
        e_above_hull=[0.0999, 0.1, 0.0, -0.2, 0.05, 0.0, np.nan],
    )
    flags = flags_of(measured)
    assert flags["metastable"].tolist() == [True, False, True, True, True, False, False]
    assert flags["stable"].tolist() == [False, False, True, True, False, False, False]
    assert flags["msun"].tolist() == [True, False, True, False, False, False, False]
    assert flags["sun"].tolist() == [False, False, True, False, False, False, False]


def test_rounding_does_not_decide_what_is_stable():
    measured = batch(valid=[1] * 4, unique=[1] * 4, novel=[1] * 4, e_above_hull=[3e-6, -3e-6, 1e-4, -1e-4])
    assert flags_of(measured)["stable"].tolist() == [True, True, False, True]
    assert flags_of(measured)["sun"].tolist() == [True, True, False, True]


def test_continuous_sun_by_hand():
    measured = batch(
        e_above_hull=[-0.3, 0.0, 0.4289 / 2, 0.9, np.nan, 0.0],
        continuous_uniqueness=[0.5, 0.6, 0.5, 0.5, 0.5, np.nan],
        continuous_novelty=[0.4, 0.5, 0.4, 0.4, 0.4, np.nan],
    )
    found = grade_means(measured)
    assert found["continuous_stability"] == pytest.approx((1 + 1 + 0.5 + 1) / 6)
    assert found["continuous_novelty"] == pytest.approx(2.1 / 6)
    assert found["continuous_sun"] == pytest.approx((0.2 + 0.3 + 0.1) / 6)
    assert grade_means(batch(e_above_hull=[0.0])) == {}


def test_a_metric_without_its_component_is_missing_and_not_zero():
    no_hull = batch(valid=[1, 1], unique=[1, 0], novel=[1, np.nan], e_above_hull=[np.nan, np.nan])
    assert headline("msun").missing(no_hull) == ("e_above_hull",)
    assert headline("metastable").missing(no_hull) == ("e_above_hull",)
    assert headline("novel").missing(no_hull) == ()
    assert headline("charge_neutral").missing(no_hull) == ("charge_neutral",)
    assert not headline("msun").flags(no_hull).any()


def test_grades_that_need_a_hull_are_absent_without_one():
    no_hull = batch(continuous_uniqueness=[0.5, 0.7], continuous_novelty=[0.2, 0.4])
    assert grade_means(no_hull) == {
        "continuous_uniqueness": pytest.approx(0.6),
        "continuous_novelty": pytest.approx(0.3),
    }


def test_every_metric_names_columns_of_the_contract_and_the_components_that_fill_them():
    for metric in (*HEADLINES, *GRADES):
        assert set(metric.needs) <= set(COLUMNS), metric.name
        assert metric.label
        assert metric.words
    assert headline("msun").components == (
        oracle_pb2.COMPONENT_STABILITY, oracle_pb2.COMPONENT_NOVELTY, oracle_pb2.COMPONENT_UNIQUENESS
    )  # fmt: skip
    assert {number for metric in HEADLINES for number in metric.components} == set(DEFAULT_COMPONENTS)


def test_every_share_of_the_contract_is_a_headline():
    fields = trainer_pb2.Evaluation.DESCRIPTOR.fields
    shares = {field.name for field in fields if field.message_type is trainer_pb2.Estimate.DESCRIPTOR}
    assert shares <= {metric.name for metric in HEADLINES}


def test_names_are_not_given_twice():
    names = [metric.name for metric in (*HEADLINES, *GRADES)]
    assert len(set(names)) == len(names)
    with pytest.raises(KeyError):
        headline("unheard-of")
