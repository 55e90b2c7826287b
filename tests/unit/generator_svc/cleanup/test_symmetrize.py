"""Symmetrisation finds the symmetry that noise has hidden and changes nothing else."""

from __future__ import annotations

import numpy as np
import pytest
import spglib

from generator_svc.cleanup.symmetrize import symmetrize
from xenolith.crystal import Crystal

FCC = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
ROCKSALT = Crystal(
    lattice=np.eye(3) * 5.64, numbers=np.repeat([11, 17], 4), frac_coords=np.concatenate([FCC, FCC + 0.5])
)
PEROVSKITE = Crystal(
    lattice=np.eye(3) * 3.9,
    numbers=np.array([38, 22, 8, 8, 8]),
    frac_coords=np.array([[0.5] * 3, [0, 0, 0], [0.5, 0, 0], [0, 0.5, 0], [0, 0, 0.5]]),
)
WURTZITE = Crystal(
    lattice=np.array([[3.25, 0, 0], [-1.625, 3.25 * np.sqrt(3) / 2, 0], [0, 0, 5.2]]),
    numbers=np.array([30, 30, 8, 8]),
    frac_coords=np.array(
        [[1 / 3, 2 / 3, 0], [2 / 3, 1 / 3, 0.5], [1 / 3, 2 / 3, 0.382], [2 / 3, 1 / 3, 0.882]]
    ),
)


def space_group(crystal: Crystal, tolerance: float) -> int:
    cell = (crystal.lattice, crystal.frac_coords, crystal.numbers)
    return int(spglib.get_symmetry_dataset(cell, symprec=tolerance).number)


def disturbed(crystal: Crystal, rng: np.random.Generator, *, angstrom: float = 0.02) -> Crystal:
    noise = rng.normal(scale=angstrom, size=crystal.frac_coords.shape) @ np.linalg.inv(crystal.lattice)
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    strain = np.eye(3) + rng.normal(scale=0.003, size=(3, 3))
    order = rng.permutation(crystal.num_atoms)
    return Crystal(
        lattice=crystal.lattice @ strain @ turn,
        numbers=crystal.numbers[order],
        frac_coords=(crystal.frac_coords + noise)[order] + rng.random(3),
    )


@pytest.mark.parametrize(("crystal", "number"), [(ROCKSALT, 225), (PEROVSKITE, 221), (WURTZITE, 186)])
def test_hidden_symmetry_becomes_exact(crystal, number):
    rng = np.random.default_rng(number)
    for _ in range(10):
        noisy = disturbed(crystal, rng)
        assert space_group(noisy, 1e-4) == 1
        clean = symmetrize(noisy, 0.2)
        assert space_group(clean, 1e-4) == number
        np.testing.assert_array_equal(clean.numbers, noisy.numbers)
        shift = clean.frac_coords - noisy.frac_coords
        assert np.linalg.norm((shift - shift.round()) @ noisy.lattice, axis=1).max() < 0.2
        np.testing.assert_allclose(clean.lattice, noisy.lattice, atol=0.1)
        assert clean.volume == pytest.approx(noisy.volume, rel=0.01)


def test_a_crystal_without_symmetry_stays_as_it_is():
    rng = np.random.default_rng(1)
    crystal = Crystal(
        lattice=np.diag([4.0, 5.1, 6.3]) + rng.normal(scale=0.4, size=(3, 3)),
        numbers=np.array([3, 8, 22, 38]),
        frac_coords=rng.random((4, 3)),
    )
    assert symmetrize(crystal, 0.01) is crystal


def test_a_symmetric_crystal_is_not_moved():
    clean = symmetrize(WURTZITE, 0.01)
    np.testing.assert_allclose(clean.lattice, WURTZITE.lattice, atol=1e-9)
    shift = clean.frac_coords - WURTZITE.frac_coords
    np.testing.assert_allclose(shift - shift.round(), 0, atol=1e-9)


def test_atoms_on_top_of_each_other_do_no_harm():
    crystal = Crystal(lattice=np.eye(3) * 4, numbers=np.array([11, 11, 17]), frac_coords=np.zeros((3, 3)))
    assert symmetrize(crystal, 0.1).num_atoms == 3
