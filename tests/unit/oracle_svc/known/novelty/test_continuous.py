"""ElMD against its definition, and graded novelty against an exhaustive search."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import wasserstein_distance

from oracle_svc.crystals.compositions import Compositions
from oracle_svc.crystals.elmd import SCALE, SIZE, cumulative, elmd, positions_of
from oracle_svc.known.novelty.continuous import (
    COMPOSITION_WEIGHT,
    STRUCTURE_WEIGHT,
    composition_radius,
    graded_distance,
    graded_uniqueness,
)
from oracle_svc.known.novelty.known_index import GivenCrystals
from xenolith.crystal import Crystal
from xenolith.elements import SYMBOLS

Z = {symbol: number for number, symbol in enumerate(SYMBOLS)}


def atoms(formula: str) -> np.ndarray:
    """Atoms of a composition such as `Ca Ti O O O`."""
    return np.array([Z[symbol] for symbol in formula.split()])


def distance(a: str, b: str) -> float:
    first, second = cumulative(atoms(a)), cumulative(atoms(b))
    assert first is not None and second is not None
    return float(elmd(first, second))


def random_atoms(rng: np.random.Generator) -> np.ndarray:
    return rng.choice(rng.choice(np.arange(1, 104), int(rng.integers(1, 6)), replace=False), 12)


def test_the_scale_holds_each_element_up_to_lawrencium_once() -> None:
    assert SIZE == 103
    assert sorted(Z[symbol] for symbol in SCALE) == list(range(1, 104))
    assert positions_of(np.array([2, 1, 104, 118])).tolist() == [0, 102, -1, -1]


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        # As the package ElMD 0.5.15 gives them, metric mod_petti.
        ("Na Cl", "K Cl", 0.5),
        ("Ca Ti O O O", "Sr Ti O O O", 0.2),
        ("Ca Ti O O O", "Na Cl", 19.6),
        ("Si", "Ge", 1.0),
        ("H", "He", 102.0),
    ],
)
def test_values_of_the_published_package(a: str, b: str, expected: float) -> None:
    assert distance(a, b) == pytest.approx(expected, abs=1e-12)
    assert distance(b, a) == pytest.approx(expected, abs=1e-12)


def test_it_is_the_wasserstein_distance_on_the_scale() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        a, b = random_atoms(rng), random_atoms(rng)
        first, second = cumulative(a), cumulative(b)
        assert first is not None and second is not None
        expected = wasserstein_distance(positions_of(a), positions_of(b))
        assert float(elmd(first, second)) == pytest.approx(expected, abs=1e-9)


def test_elements_beyond_the_scale_have_no_distance() -> None:
    assert cumulative(np.array([11, 104])) is None


def compositions_of(members: list[np.ndarray]) -> Compositions:
    parts = [np.unique(numbers, return_counts=True) for numbers in members]
    return Compositions(
        np.concatenate([elements for elements, _ in parts]),
        np.concatenate([counts for _, counts in parts]),
        np.cumsum([0, *(len(elements) for elements, _ in parts)]),
    )


def test_the_nearest_composition_is_that_of_an_exhaustive_search() -> None:
    rng = np.random.default_rng(1)
    members = [random_atoms(rng) for _ in range(3000)] + [np.array([11, 105])]
    totals = np.array([cumulative(numbers) for numbers in members[:-1]])
    compositions = compositions_of(members)
    assert len(compositions) == 3000
    for target in [*totals[:5], *(cumulative(random_atoms(rng)) for _ in range(60))]:
        assert target is not None
        nearest = compositions.nearest(target)
        assert nearest is not None
        exhaustive = elmd(totals, target)
        assert nearest[1] == pytest.approx(exhaustive.min(), abs=1e-12)
        assert exhaustive[nearest[0]] == pytest.approx(exhaustive.min(), abs=1e-12)


def test_no_composition_is_nearest_to_nothing() -> None:
    target = cumulative(atoms("Na Cl"))
    assert target is not None
    assert compositions_of([np.array([104])]).nearest(target) is None


def test_graded_novelty_is_that_of_an_exhaustive_search() -> None:
    rng = np.random.default_rng(2)
    members = [random_atoms(rng) for _ in range(400)]
    amd = rng.uniform(2, 12, (400, 5))
    crystals = [
        Crystal(lattice=9 * np.eye(3), numbers=m, frac_coords=rng.random((len(m), 3))) for m in members
    ]
    index = GivenCrystals(ids=[str(row) for row in range(400)], crystals=crystals, amd=amd).index
    totals = np.array([cumulative(numbers) for numbers in members])
    for _ in range(40):
        target, vector = cumulative(random_atoms(rng)), rng.uniform(2, 12, 5)
        assert target is not None
        expected = graded_distance(elmd(totals, target), np.abs(amd - vector).max(axis=1)).min()
        assert index.graded_distance(target, vector) == pytest.approx(expected, abs=1e-12)
    assert index.graded_distance(totals[7], amd[7]) == 0.0


def test_the_distance_is_the_published_one() -> None:
    # xtalmet 2.0.0: coefficients in hexadecimal, d / (1 + d).
    assert float.fromhex("0x1.8d7d565a99f87p-1") == COMPOSITION_WEIGHT
    assert float.fromhex("0x1.ca0aa695981e5p-3") == STRUCTURE_WEIGHT
    assert graded_distance(np.array(1.0), np.array(3.0)) == pytest.approx(
        COMPOSITION_WEIGHT * 0.5 + STRUCTURE_WEIGHT * 0.75
    )
    assert graded_distance(np.array(1e9), np.array(1e9)) < 1.0
    for apart in (0.0, 0.3, 2.0, 50.0):
        reached = float(graded_distance(np.array(apart), np.array(0.0)))
        assert composition_radius(reached) == pytest.approx(apart)


def test_graded_uniqueness_by_hand_and_in_any_order() -> None:
    totals = {0: cumulative(atoms("Na Cl")), 1: cumulative(atoms("K Cl")), 2: cumulative(atoms("Na Cl"))}
    amd = {0: np.array([1.0]), 1: np.array([1.0]), 2: np.array([2.0])}
    apart, shape = COMPOSITION_WEIGHT * 0.5 / 1.5, STRUCTURE_WEIGHT * 0.5
    values = graded_uniqueness(totals, amd, 4)  # type: ignore[arg-type]
    # One of the four could not be measured: it adds nothing, and stays in the mean.
    assert values[0] == pytest.approx((apart + shape) / 3)
    assert values[1] == pytest.approx((2 * apart + shape) / 3)
    order = [2, 0, 1]
    again = graded_uniqueness({i: totals[i] for i in order}, {i: amd[i] for i in order}, 4)  # type: ignore[misc]
    assert again == values
    assert graded_uniqueness({0: totals[0]}, amd, 1) == {}  # type: ignore[dict-item]
