"""Parents, orderings and quasi-random cells, against what is known of them."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from pymatgen.core import Structure

from xenolith.analysis.disorder import (
    DisorderedParent,
    could_share,
    enumerate_orderings,
    occupancy_cif,
    parent_of,
    quasi_random_cells,
    sharing_sets,
)
from xenolith.analysis.disorder.parent import BOLTZMANN
from xenolith.crystal import Crystal
from xenolith.elements import atomic_number

CU, AU, NA, K, CL, MG, AL = (atomic_number(s) for s in ("Cu", "Au", "Na", "K", "Cl", "Mg", "Al"))
FCC = np.array([[0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]) * 4.0


def _fcc(first: float) -> DisorderedParent:
    return DisorderedParent(
        lattice=FCC,
        frac_coords=np.zeros((1, 3)),
        orbits=np.array([0]),
        occupancies=({CU: first, AU: 1 - first},),
        space_group="Fm-3m (225)",
        ordered_space_group="",
        symprec=0.1,
    )


def _layered_salt() -> Crystal:
    return Crystal(
        lattice=np.diag([4.2, 4.2, 6.0]),
        numbers=[NA, K, CL, CL],
        frac_coords=[[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0], [0, 0, 0.5]],
    )


@pytest.mark.parametrize(
    ("shares", "atoms", "expected"), [((0.5,), 2, 2), ((1 / 3,), 3, 3), ((0.25, 0.5), 4, 12)]
)
def test_binary_orderings_of_fcc_are_as_many_as_hart_and_forcade_count(
    shares: tuple[float, ...], atoms: int, expected: int
) -> None:
    # Phys. Rev. B 77, 224115 (2008), table IV: 2, 3 and 12, where swapping the elements makes no difference.
    found = [o for x in shares for o in enumerate_orderings(_fcc(x), most_shared=atoms)]
    assert sum(ordering.crystal.num_atoms == atoms for ordering in found) == expected


def test_every_ordering_keeps_the_composition_and_differs_from_the_others() -> None:
    from pymatgen.analysis.structure_matcher import StructureMatcher

    from xenolith.convert import to_pymatgen

    found = enumerate_orderings(_fcc(0.25), most_shared=4)
    assert all(ordering.crystal.formula == "CuAu3" for ordering in found)
    structures = [to_pymatgen(ordering.crystal) for ordering in found]
    assert len(StructureMatcher(scale=False, stol=0.05).group_structures(structures)) == len(found) == 7


def test_a_search_that_is_bounded_ends_there() -> None:
    assert len(enumerate_orderings(_fcc(0.5), most_shared=8, most=10)) == 10


@pytest.mark.parametrize(
    ("first", "entropy"), [(0.5, math.log(2)), (0.25, -0.25 * math.log(0.25) - 0.75 * math.log(0.75))]
)
def test_ideal_mixing_has_the_entropy_of_the_textbook(first: float, entropy: float) -> None:
    assert _fcc(first).mixing_entropy == pytest.approx(BOLTZMANN * entropy)


def test_a_strained_ordering_has_the_parent_that_it_is_made_of() -> None:
    ordered = Crystal(lattice=np.diag([2.80, 2.80, 3.67]), numbers=[CU, AU], frac_coords=[[0] * 3, [0.5] * 3])
    parent = parent_of(ordered, frozenset((CU, AU)))
    assert parent is not None
    assert (parent.space_group, parent.ordered_space_group) == ("Fm-3m (225)", "P4/mmm (123)")
    assert parent.occupancies == ({CU: 0.5, AU: 0.5},)
    assert abs(np.linalg.det(parent.lattice)) == pytest.approx(
        ordered.volume / 2, rel=5e-3
    )  # lengths are averaged


def test_sites_that_are_not_shared_stay_as_they_are() -> None:
    parent = parent_of(_layered_salt(), frozenset((NA, K)))
    assert parent is not None
    assert parent.space_group == "Fm-3m (225)"
    assert parent.shared.sum() == 1
    assert parent.mixing_entropy == pytest.approx(BOLTZMANN * math.log(2) / 2)
    for ordering in enumerate_orderings(parent, most_shared=4):
        counts = Counter(ordering.crystal.numbers.tolist())
        assert counts[NA] == counts[K] == counts[CL] / 2


def test_symmetry_that_does_not_rise_gives_no_parent() -> None:
    salt = Crystal(lattice=FCC * 1.4, numbers=[NA, CL], frac_coords=[[0] * 3, [0.5] * 3])
    assert parent_of(salt, frozenset((NA, K))) is None


def test_quasi_random_cells_hold_the_composition_and_are_the_same_each_time() -> None:
    parent = parent_of(_layered_salt(), frozenset((NA, K)))
    assert parent is not None
    cells = quasi_random_cells(parent, shared=8, cells=2, seed=1)
    assert [Counter(cell.numbers.tolist()) for cell in cells] == [Counter({CL: 8, NA: 4, K: 4})] * 2
    again = quasi_random_cells(parent, shared=8, cells=2, seed=1)
    assert cells == again


def test_an_occupancy_cif_reads_back_with_its_group_and_fractions() -> None:
    parent = parent_of(_layered_salt(), frozenset((NA, K)))
    assert parent is not None
    text = occupancy_cif(parent)
    read = Structure.from_str(text, fmt="cif", primitive=False)
    assert "Fm-3m" in text
    assert not read.is_ordered
    assert read.composition.get_el_amt_dict() == pytest.approx({"Na": 2.0, "K": 2.0, "Cl": 4.0})


def test_elements_of_like_size_that_are_no_opposite_ions_could_share() -> None:
    assert could_share(CU, AU)
    assert could_share(NA, K)
    assert not could_share(NA, CL)
    assert not could_share(MG, atomic_number("O"))
    assert sharing_sets([CU, AU, CL, CU]) == [frozenset((CU, AU))]
