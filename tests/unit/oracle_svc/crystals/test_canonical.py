from __future__ import annotations

import numpy as np
import pytest

from oracle_svc.crystals.canonical import canonical_form, same_crystal
from oracle_svc.crystals.lattice import primitive_cell, reduce_lattice
from oracle_svc.known.reference.structures import read_structures
from xenolith.crystal import Crystal

A = 5.64
FCC = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])


def rocksalt() -> Crystal:
    return Crystal(
        lattice=np.eye(3) * A, numbers=[11] * 4 + [17] * 4, frac_coords=np.concatenate([FCC, FCC + 0.5])
    )


def moved(crystal: Crystal, rng: np.random.Generator, distance: float, atoms: int) -> Crystal:
    """Some atoms displaced by exactly `distance`, Angstrom."""
    steps = np.zeros_like(crystal.frac_coords)
    steps[:atoms] = rng.normal(size=(atoms, 3))
    steps[:atoms] *= distance / np.linalg.norm(steps[:atoms], axis=1, keepdims=True)
    return Crystal(
        lattice=crystal.lattice,
        numbers=crystal.numbers,
        frac_coords=crystal.frac_coords + steps @ np.linalg.inv(crystal.lattice),
    )


def assert_shared(a: Crystal, b: Crystal) -> None:
    first, second = canonical_form(a), canonical_form(b)
    assert second.key in first.addresses
    assert first.key in second.addresses
    assert same_crystal(first, second)
    assert same_crystal(second, first)


@pytest.mark.parametrize("mirror", [False, True])
def test_descriptions_of_one_random_crystal_share_an_entry(random_crystal, redescribe, mirror):
    rng = np.random.default_rng(1)
    for _ in range(150):
        crystal = random_crystal(rng)
        assert_shared(crystal, redescribe(crystal, rng, mirror=mirror))


def test_descriptions_of_real_crystals_share_an_entry(data_dir, redescribe):
    rng = np.random.default_rng(2)
    table = read_structures(data_dir / "mp20.parquet")
    for index in rng.choice(len(table), size=200, replace=False):
        crystal = table.batch[int(index)]
        assert_shared(crystal, redescribe(crystal, rng, mirror=bool(index % 2)))


def test_noise_of_a_file_format_is_forgiven(random_crystal):
    rng = np.random.default_rng(3)
    for _ in range(100):
        crystal = random_crystal(rng)
        assert_shared(crystal, moved(crystal, rng, 1e-6, crystal.num_atoms))


def test_a_displacement_of_a_hundredth_is_another_crystal(random_crystal, redescribe):
    rng = np.random.default_rng(4)
    for _ in range(150):
        crystal = random_crystal(rng)
        if crystal.num_atoms > 1:
            other = redescribe(moved(crystal, rng, 0.01, 1), rng)
            assert not same_crystal(canonical_form(crystal), canonical_form(other))


def test_a_strain_of_a_thousandth_is_another_crystal(random_crystal):
    rng = np.random.default_rng(5)
    for _ in range(50):
        crystal = random_crystal(rng)
        strain = np.eye(3) + np.diag([1e-3, -1e-3, 0.0])
        other = Crystal(
            lattice=crystal.lattice @ strain, numbers=crystal.numbers, frac_coords=crystal.frac_coords
        )
        assert not same_crystal(canonical_form(crystal), canonical_form(other))


def test_swapped_elements_are_another_crystal():
    zincblende = Crystal(
        lattice=np.eye(3) * A, numbers=[11] * 4 + [17] * 4, frac_coords=np.concatenate([FCC, FCC + 0.25])
    )
    assert not same_crystal(canonical_form(rocksalt()), canonical_form(zincblende))
    fluorite = {"lattice": np.eye(3) * A, "frac_coords": np.concatenate([FCC, FCC + 0.25, FCC - 0.25])}
    caf2 = Crystal(numbers=[20] * 4 + [9] * 8, **fluorite)
    anti = Crystal(numbers=[9] * 4 + [20] * 8, **fluorite)
    assert canonical_form(caf2).key not in canonical_form(anti).addresses


def test_orderings_on_one_lattice_are_told_apart():
    """L1_0 and L1_1 of AB on the same cubic lattice: same formula, volume and distances, other neighbours."""
    cells = np.array(list(np.ndindex(2, 2, 2)))
    sites = ((FCC[:, None] + cells[None]) / 2).reshape(-1, 3)
    half_steps = np.round(sites * 4).astype(int)
    layers = half_steps[:, 2] % 2
    diagonal = (half_steps.sum(axis=1) // 2) % 2
    lattice = np.eye(3) * 7.6
    l10 = Crystal(lattice=lattice, numbers=np.where(layers, 29, 79), frac_coords=sites)
    l11 = Crystal(lattice=lattice, numbers=np.where(diagonal, 29, 79), frac_coords=sites)
    first, second = canonical_form(l10), canonical_form(l11)
    assert len(first.numbers) == len(second.numbers) == 2
    assert not same_crystal(first, second)


def test_stackings_are_told_apart():
    """Two close-packed stackings of nine layers with the same neighbours nearby: only the whole crystal
    differs."""

    def stack(word: str) -> Crystal:
        offset = {"A": (0.0, 0.0), "B": (1 / 3, 2 / 3), "C": (2 / 3, 1 / 3)}
        n = len(word)
        lattice = np.array([[2.5, 0, 0], [-1.25, 2.5 * np.sqrt(3) / 2, 0], [0, 0, 2.04 * n]])
        frac = [(*offset[letter], i / n) for i, letter in enumerate(word)]
        return Crystal(lattice=lattice, numbers=[27] * n, frac_coords=frac)

    words = ["ABABABABABAC", "ABABABACABAC", "ABCABCABCABC", "ABABABABABAB", "ABCBABCBABAC"]
    forms = [canonical_form(stack(word)) for word in words]
    for i, a in enumerate(forms):
        for j, b in enumerate(forms):
            assert same_crystal(a, b) == (i == j)
    assert len(forms[3].numbers) == 2
    assert len(forms[2].numbers) == 1
    assert same_crystal(forms[0], canonical_form(stack("CABABABABABA")))


def test_a_supercell_with_one_atom_out_of_place_is_not_its_cell(redescribe):
    rng = np.random.default_rng(6)
    doubled = redescribe(rocksalt(), rng)
    assert len(canonical_form(doubled).numbers) == 2
    disturbed = canonical_form(moved(doubled, rng, 0.01, 1))
    assert len(disturbed.numbers) == doubled.num_atoms
    assert not same_crystal(disturbed, canonical_form(rocksalt()))


def test_a_value_on_the_edge_of_the_grid_is_found_from_both_sides(random_crystal):
    crystal = random_crystal(np.random.default_rng(7))

    def scaled(factor: float):
        return canonical_form(
            Crystal(
                lattice=crystal.lattice * factor, numbers=crystal.numbers, frac_coords=crystal.frac_coords
            )
        )

    low, high = 1.0, 1.02
    assert scaled(low).key != scaled(high).key
    while high - low > 1e-12:
        middle = (low + high) / 2
        low, high = (low, middle) if scaled(middle).key != scaled(low).key else (middle, high)
    below, above = scaled(low), scaled(high)
    assert below.key != above.key
    assert above.key in below.addresses
    assert below.key in above.addresses
    assert same_crystal(below, above)


def test_the_primitive_cell_has_the_same_density(random_crystal, redescribe):
    rng = np.random.default_rng(8)
    for _ in range(30):
        crystal = random_crystal(rng)
        bigger = redescribe(crystal, rng)
        lattice, numbers, frac = primitive_cell(
            bigger.lattice, bigger.numbers, bigger.frac_coords, tolerance=1e-5
        )
        assert len(numbers) == crystal.num_atoms
        assert abs(np.linalg.det(lattice)) == pytest.approx(crystal.volume)
        assert frac.shape == (len(numbers), 3)


def test_reduction_finds_the_shortest_vectors():
    rng = np.random.default_rng(9)
    for _ in range(100):
        lattice = np.array(rng.normal(size=(3, 3)) * [[1.0], [3.0], [10.0]]) @ np.diag([1.0, 2.0, 5.0])
        reduced = reduce_lattice(lattice)
        change = reduced @ np.linalg.inv(lattice)
        np.testing.assert_allclose(change, np.round(change), atol=1e-6)
        assert abs(round(float(np.linalg.det(change)))) == 1
        grid = np.array([c for c in np.ndindex(7, 7, 7) if c != (3, 3, 3)]) - 3
        lengths = np.linalg.norm(grid @ reduced, axis=1)
        assert lengths.min() == pytest.approx(np.linalg.norm(reduced[0]))
        beyond = lengths[(grid[:, 2] != 0)]
        assert beyond.min() == pytest.approx(np.linalg.norm(reduced[2]))
