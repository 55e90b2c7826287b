"""Elements of decoded atoms: the wanted composition exactly, by the likeliest assignment."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from generator_svc.conditioning import check_conditions, fitting_atom_counts, wanted_conditions
from generator_svc.networks.assignment import choose_elements
from generator_svc.networks.conditions import Conditions, ConditionsConfig
from generator_svc.networks.ragged import Ragged
from xenolith.client import condition
from xenolith.errors import InvalidArgumentError
from xenolith.v1 import generator_pb2

BOTH = ConditionsConfig(composition=True, chemical_system=True)
RAGGED = Ragged(torch.tensor([5, 2, 5]))


def wanted(*given: generator_pb2.Condition) -> Conditions:
    return wanted_conditions(given, RAGGED.num_atoms.tolist(), BOTH)


def test_a_composition_is_met_by_the_likeliest_assignment() -> None:
    logits = torch.randn(12, 100, generator=torch.Generator().manual_seed(0)) * 3
    perovskite = condition(composition="SrTiO3")
    numbers = choose_elements(logits, RAGGED, wanted(perovskite, condition(), perovskite)).numpy()
    assert sorted(numbers[:5]) == sorted(numbers[7:]) == [8, 8, 8, 22, 38]
    score = logits.log_softmax(1).numpy()
    for start in (0, 7):
        best = max(
            sum(score[start + atom, z - 1] for atom, z in enumerate(order))
            for order in set(itertools.permutations([8, 8, 8, 22, 38]))
        )
        found = sum(score[start + atom, z - 1] for atom, z in enumerate(numbers[start : start + 5]))
        assert found == pytest.approx(best, abs=1e-4)
    np.testing.assert_array_equal(numbers[5:7], logits[5:7].argmax(1).numpy() + 1)


def test_a_chemical_system_leaves_out_all_other_elements() -> None:
    logits = torch.randn(12, 100, generator=torch.Generator().manual_seed(1))
    system = condition(chemical_system="Li-Fe-O")
    numbers = choose_elements(logits, RAGGED, wanted(system, condition(), condition()))
    allowed = logits[:5, [2, 7, 25]].argmax(1)
    assert numbers[:5].tolist() == [[3, 8, 26][index] for index in allowed.tolist()]
    assert torch.equal(numbers[5:], logits[5:].argmax(1) + 1)


def test_only_ratios_of_a_composition_matter() -> None:
    for given in ("SrTiO3", "Sr2Ti2O6", "Sr0.2Ti0.2O0.6"):
        assert fitting_atom_counts(condition(composition=given), 20) == [5, 10, 15, 20]
    assert fitting_atom_counts(condition(composition={"Li": 0.33, "O": 0.67}), 4) == [3]
    assert fitting_atom_counts(condition(composition="Al2O3"), 4) == []
    assert fitting_atom_counts(condition(), 3) == [1, 2, 3]


def test_a_cell_that_does_not_hold_the_composition_is_named() -> None:
    with pytest.raises(InvalidArgumentError, match=r"num_atoms\[1\] is 2.*Sr1Ti1O3"):
        wanted(condition(), condition(composition="SrTiO3"), condition())


def test_elements_out_of_reach_are_named() -> None:
    with pytest.raises(InvalidArgumentError, match=r"conditions\[0\]\.chemical_system\[1\] is 92 \(U\)"):
        check_conditions([condition(chemical_system="O-U")], BOTH, [8, 26])
