"""The gate names what is wrong, with value and limit, and lets real crystals pass."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from oracle_svc.crystals.charge import charge_neutral
from oracle_svc.crystals.validity import ValidityLimits, check_validity
from oracle_svc.status import Status
from tests.unit.oracle_svc.specimens import diamond, hopeless, perovskite, salt, simple
from xenolith.crystal import Crystal, CrystalBatch
from xenolith.v1 import crystal_pb2

COVERED = frozenset(range(1, 95))
LIMITS = ValidityLimits()


def outcome(crystal: Crystal, limits: ValidityLimits = LIMITS) -> tuple[Status, str]:
    report = check_validity(CrystalBatch.from_crystals([crystal]), limits, COVERED)
    return report.statuses[0], report.messages[0]


def test_statuses_are_those_of_the_contract() -> None:
    numbers = {f"STRUCTURE_STATUS_{status.name}": int(status) for status in Status}
    contract = dict(crystal_pb2.StructureStatus.items())
    assert {**numbers, "STRUCTURE_STATUS_UNSPECIFIED": 0} == contract


def test_measures_of_rocksalt() -> None:
    report = check_validity(CrystalBatch.from_crystals([salt()]), LIMITS, COVERED)
    assert report.valid.tolist() == [True]
    assert report.min_distance[0] == pytest.approx(5.69 / 2)
    assert report.volume_per_atom[0] == pytest.approx(5.69**3 / 8)
    assert report.density[0] == pytest.approx(2.107, abs=1e-3)


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("empty", Status.MALFORMED),
        ("nan cell", Status.NONFINITE),
        ("infinite coordinate", Status.NONFINITE),
        ("huge coordinate", Status.NONFINITE),
        ("singular", Status.BAD_CELL),
        ("flat", Status.BAD_CELL),
        ("needle", Status.BAD_CELL),
        ("no volume", Status.BAD_CELL),
        ("beyond numbers", Status.BAD_CELL),
        ("nothing", Status.UNSUPPORTED_ELEMENT),
        ("beyond the table", Status.UNSUPPORTED_ELEMENT),
        ("negative", Status.UNSUPPORTED_ELEMENT),
        ("one point", Status.TOO_CLOSE),
        ("crowd", Status.BAD_CELL),
        ("a million atoms", Status.TOO_LARGE),
    ],
)
def test_the_hopeless_get_their_status_beside_the_good(name: str, status: Status) -> None:
    batch = CrystalBatch.from_crystals([salt(), hopeless()[name], diamond()])
    report = check_validity(batch, LIMITS, COVERED)
    assert report.statuses == (Status.OK, status, Status.OK)
    assert report.messages[1]


def test_every_hopeless_case_is_tested() -> None:
    cases = next(
        mark
        for mark in test_the_hopeless_get_their_status_beside_the_good.pytestmark
        if mark.name == "parametrize"
    )
    assert {name for name, _ in cases.args[1]} == set(hopeless())


def test_messages_name_value_and_limit() -> None:
    close = Crystal(
        lattice=5 * np.eye(3), numbers=np.array([14, 14]), frac_coords=np.array([[0, 0, 0], [0, 0, 0.938]])
    )
    assert outcome(close) == (Status.TOO_CLOSE, "minimum distance 0.31 A is below 0.5 A")
    assert outcome(simple(np.diag([0.4, 30.0, 30.0])))[1] == "minimum distance 0.40 A is below 0.5 A"
    assert outcome(simple(2 * np.eye(3), 92)) == (
        Status.BAD_DENSITY,
        "density 49.4 g/cm^3 is above 30 g/cm^3",
    )
    thin = simple(15 * np.eye(3), 1)
    assert outcome(thin) == (Status.BAD_DENSITY, "density 0.000496 g/cm^3 is below 0.01 g/cm^3")
    assert outcome(simple(0.9 * np.eye(3))) == (Status.BAD_CELL, "volume per atom 0.729 A^3 is below 1 A^3")
    assert outcome(salt(), replace(LIMITS, max_atoms=1)) == (Status.TOO_LARGE, "2 atoms are more than 1")
    report = check_validity(CrystalBatch.from_crystals([perovskite()]), LIMITS, frozenset({8, 22}))
    assert report.messages == ("not covered: Sr",)


def test_own_images_count_as_neighbours() -> None:
    lattice = np.array([[0.45, 0.0, 0.0], [0.0, 8.0, 0.0], [0.0, 0.0, 8.0]])
    assert re.match(r"minimum distance 0\.45 A", outcome(simple(lattice))[1])


def test_one_crystal_in_other_words(redescribe: Callable[..., Crystal]) -> None:
    rng = np.random.default_rng(2)
    same = CrystalBatch.from_crystals([redescribe(perovskite(), rng) for _ in range(10)])
    report = check_validity(same, LIMITS, COVERED)
    assert report.valid.all()
    np.testing.assert_allclose(report.min_distance, 3.9 / 2, atol=1e-9)
    np.testing.assert_allclose(report.density, report.density[0], rtol=1e-9)


def test_known_crystals_pass(known_crystals: CrystalBatch) -> None:
    report = check_validity(known_crystals, LIMITS, COVERED)
    assert report.valid.all(), report.messages


@pytest.mark.parametrize(
    ("numbers", "verdict"),
    [
        ([11, 17], True),
        ([38, 22, 8, 8, 8], True),
        ([11, 17, 17], False),
        ([29, 79], True),
        ([14], True),
        ([3, 11, 19, 37, 26, 25, 8, 8], None),
        ([11, 110], None),
        ([0, 8], None),
        ([], None),
    ],
)
def test_charge_neutrality(numbers: list[int], verdict: bool | None) -> None:
    assert charge_neutral(np.array(numbers, dtype=np.int32)) is verdict
