from __future__ import annotations

import numpy as np
import pytest

from oracle_svc.known.novelty.known_index import GivenCrystals
from oracle_svc.known.novelty.sameness import nearest_of, uniqueness
from xenolith.crystal import Crystal

NAMES = {index: (f"key-{index}", "") for index in range(10)}


def line(*positions: float) -> dict[int, np.ndarray]:
    return {index: np.array([position, 1.0]) for index, position in enumerate(positions)}


def crystal(*numbers):
    """Atoms of a composition, anywhere."""
    return Crystal(
        lattice=9 * np.eye(3), numbers=numbers, frac_coords=np.random.default_rng(0).random((len(numbers), 3))
    )


def test_the_nearest_is_of_the_same_formula_and_the_first_of_equals():
    known = GivenCrystals(
        ids=["a", "b", "c", "d"],
        crystals=[crystal(11, 17), crystal(14), crystal(17, 11), crystal(11, 17, 11, 17)],
        amd=np.array([[1.0, 2.0], [3.0, 3.0], [2.0, 2.0], [2.0, 2.0]]),
    ).index
    nearest = nearest_of(known, "NaCl", np.array([2.1, 2.3]))
    assert nearest is not None
    assert (nearest.id, nearest.distance) == ("c", pytest.approx(0.3))
    assert nearest_of(known, "MgO", np.array([2.1, 2.3])) is None


def test_clusters_are_chains_within_a_formula():
    amd = line(0.0, 0.1, 0.2, 5.0, 0.0)
    formulas = dict.fromkeys(range(4), "NaCl") | {4: "KCl"}
    results = uniqueness(formulas, amd, NAMES, 0.15)
    assert [results[index].unique for index in range(5)] == [True, False, False, True, True]
    assert [results[index].duplicate_of for index in range(5)] == [None, 0, 0, None, None]
    assert results[0].nearest_distance == pytest.approx(0.1)
    assert results[4].nearest_distance is None


def test_the_unique_member_is_chosen_by_name_not_by_place():
    amd = line(0.0, 0.05, 0.1)
    formulas = dict.fromkeys(range(3), "Si")
    names = {0: ("z", ""), 1: ("b", "2"), 2: ("b", "1")}
    results = uniqueness(formulas, amd, names, 0.2)
    assert [results[index].unique for index in range(3)] == [False, False, True]
    assert [results[index].duplicate_of for index in range(2)] == [2, 2]


def test_of_exact_copies_the_first_is_unique():
    results = uniqueness(
        dict.fromkeys(range(3), "Si"), line(1.0, 1.0, 1.0), dict.fromkeys(range(3), ("k", "d")), 0.0
    )
    assert [results[index].duplicate_of for index in range(3)] == [None, 0, 0]


def test_another_judge_replaces_amd():
    amd = line(0.0, 0.0, 9.0)
    results = uniqueness(dict.fromkeys(range(3), "Si"), amd, NAMES, 1.0, same=[(0, 2)])
    assert [results[index].unique for index in range(3)] == [True, True, False]
    assert results[2].duplicate_of == 0
    assert results[0].nearest_distance == 0.0


def test_any_order_gives_the_same_clusters():
    rng = np.random.default_rng(0)
    positions = rng.random(30)
    names = {index: (f"{value:.12f}", "") for index, value in enumerate(positions)}
    straight = uniqueness(dict.fromkeys(range(30), "Si"), line(*positions), names, 0.02)
    assert 1 < sum(result.unique for result in straight.values()) < 30
    for _ in range(10):
        order = rng.permutation(30)
        shuffled = uniqueness(
            dict.fromkeys(range(30), "Si"),
            line(*positions[order]),
            {place: names[int(index)] for place, index in enumerate(order)},
            0.02,
        )
        for place, index in enumerate(order.tolist()):
            assert shuffled[place].unique == straight[index].unique
            of = shuffled[place].duplicate_of
            assert (None if of is None else int(order[of])) == straight[index].duplicate_of


@pytest.mark.parametrize("by_pairs", [False, True], ids=["amd", "judge"])
def test_no_order_of_any_batch_changes_who_is_unique(by_pairs):
    rng = np.random.default_rng(7)
    for _ in range(60):
        size = int(rng.integers(2, 25))
        # Coarse positions: exact copies, near ties and chains are all common.
        positions = rng.integers(0, 12, size) / 10.0
        formulas = rng.choice(["Si", "NaCl", "SrTiO3"], size).tolist()
        contents = [
            (f"{formula}", f"{position}") for formula, position in zip(formulas, positions, strict=True)
        ]
        pairs = [
            (i, j)
            for i in range(size)
            for j in range(i)
            if by_pairs and formulas[i] == formulas[j] and abs(positions[i] - positions[j]) <= 0.1001
        ]
        found = []
        for order in [np.arange(size), *(rng.permutation(size) for _ in range(3))]:
            place = np.argsort(order)
            results = uniqueness(
                {new: formulas[old] for new, old in enumerate(order)},
                {new: np.array([positions[old]]) for new, old in enumerate(order)},
                {new: contents[old] for new, old in enumerate(order)},
                0.1001,
                same=[(int(place[i]), int(place[j])) for i, j in pairs] if by_pairs else None,
            )
            chosen = sorted(contents[order[new]] for new in results if results[new].unique)
            stands = sorted(
                (contents[order[new]], contents[order[result.duplicate_of]])
                for new, result in results.items()
                if result.duplicate_of is not None
            )
            found.append((chosen, stands))
        assert all(other == found[0] for other in found)
        assert len(found[0][0]) >= len(set(formulas))


def test_columns_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="do not fit"):
        GivenCrystals(ids=["a"], crystals=[crystal(14)] * 2, amd=np.zeros((2, 3)))
