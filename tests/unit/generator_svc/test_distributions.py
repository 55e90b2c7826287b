"""Histograms of crystals, and the distance between two sets of them."""

import numpy as np
import pytest

from generator_svc.distributions import Histogram, distance, histograms
from xenolith.crystal import Crystal, CrystalBatch


def cube(side, numbers):
    coords = np.linspace(0, 1, len(numbers), endpoint=False)[:, None].repeat(3, axis=1)
    return Crystal(lattice=side * np.eye(3), numbers=np.array(numbers), frac_coords=coords)


SALT = cube(4.0, [11, 17])
IRON = cube(3.0, [26])


def test_each_property_is_counted_in_its_own_unit():
    found = histograms(CrystalBatch.from_crystals([SALT, SALT, IRON]), max_atoms=4)
    elements = dict(zip(found["elements"].labels, found["elements"].shares, strict=True))
    assert elements["Na"] == elements["Cl"] == pytest.approx(2 / 5)
    assert elements["Fe"] == pytest.approx(1 / 5)
    assert found["atoms_per_cell"].shares == pytest.approx([1 / 3, 2 / 3, 0, 0])
    assert found["elements_per_cell"].shares[:2] == pytest.approx([1 / 3, 2 / 3])
    volumes = dict(zip(found["volume_per_atom"].labels, found["volume_per_atom"].shares, strict=True))
    assert volumes["26.2"] == pytest.approx(1 / 3)  # 27 A^3
    assert volumes["31.2"] == pytest.approx(2 / 3)  # 32 A^3


def test_distance_is_zero_for_equals_and_one_for_strangers():
    salt = histograms(CrystalBatch.from_crystals([SALT]), max_atoms=4)
    iron = histograms(CrystalBatch.from_crystals([IRON]), max_atoms=4)
    for name in salt:
        assert distance(salt[name], salt[name]) == 0
        assert distance(salt[name], iron[name]) == pytest.approx(1)


def test_what_no_bin_holds_counts_as_different():
    inside = Histogram(labels=("1",), shares=np.array([1.0]))
    half = Histogram(labels=("1",), shares=np.array([0.5]))
    assert distance(inside, half) == pytest.approx(0.5)


def test_a_cell_larger_than_the_bins_is_not_lost():
    large = histograms(CrystalBatch.from_crystals([cube(4.0, [26] * 8)]), max_atoms=4)
    small = histograms(CrystalBatch.from_crystals([cube(4.0, [26] * 2)]), max_atoms=4)
    assert distance(large["atoms_per_cell"], small["atoms_per_cell"]) == pytest.approx(1)
