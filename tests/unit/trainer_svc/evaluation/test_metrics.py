"""Headline metrics and their intervals."""

import numpy as np

from trainer_svc.evaluation.headline import estimates, shares
from trainer_svc.rewards.measurements import Measurements, measurements_from
from xenolith.v1 import crystal_pb2, oracle_pb2


def batch(**columns):
    size = len(next(iter(columns.values())))
    values = {name: np.array(column, dtype=float) for name, column in columns.items()}
    return Measurements(status=("OK",) * size, values=values)


def test_what_was_not_measured_is_not_achieved():
    assert set(shares(Measurements(status=("MALFORMED",) * 3)).values()) == {0.0}


def test_what_the_oracle_could_not_measure_has_no_share() -> None:
    without_hull = batch(valid=[1, 1, 0], unique=[1, 1, np.nan], novel=[1, 0, np.nan])
    for found in (shares(without_hull), estimates(without_hull, resamples=100, seed=0)):
        assert set(found) == {"valid", "unique", "novel"}
    without_known = batch(valid=[1, 1], unique=[1, 1], e_above_hull=[0.0, 0.2])
    assert set(shares(without_known)) == {"valid", "unique", "metastable", "stable"}


def test_intervals_are_reproducible_and_hold_the_value():
    measured = batch(
        valid=np.ones(50), unique=np.ones(50), novel=np.arange(50) % 2, e_above_hull=np.zeros(50)
    )
    first = estimates(measured, resamples=500, seed=3)
    assert first == estimates(measured, resamples=500, seed=3)
    assert all(e.low <= e.value <= e.high for e in first.values())


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
