"""Thousands of pairs: descriptions of one crystal share an entry, distinct crystals never do."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from oracle_svc.crystals.canonical import TOLERANCE, canonical_form, same_crystal
from xenolith.crystal import Crystal

Change = Callable[[Crystal, np.random.Generator], Crystal | None]
FAST = pytest.param(250, id="hundreds")
MANY = pytest.param(2000, id="thousands", marks=[pytest.mark.slow, pytest.mark.timeout(1800)])


def shares(a: Crystal, b: Crystal) -> bool:
    """Whether a value stored for one would be found for the other."""
    first, second = canonical_form(a), canonical_form(b)
    proved = same_crystal(first, second)
    assert proved == same_crystal(second, first)
    addressed = first.key in second.addresses and second.key in first.addresses
    assert addressed or not proved, (
        "one crystal, and the entry of one description is not looked for by the other"
    )
    return proved


def displaced(crystal: Crystal, rng: np.random.Generator) -> Crystal | None:
    """One atom moved by a few hundred tolerances."""
    if crystal.num_atoms == 1:
        return None  # that is a translation
    step = rng.normal(size=3)
    frac = crystal.frac_coords.copy()
    frac[rng.integers(crystal.num_atoms)] += (
        300 * TOLERANCE * step / np.linalg.norm(step) @ np.linalg.inv(crystal.lattice)
    )
    return Crystal(lattice=crystal.lattice, numbers=crystal.numbers, frac_coords=frac)


def inflated(crystal: Crystal, rng: np.random.Generator) -> Crystal:
    """Every length larger or smaller by a few thousandths."""
    factor = 1.0 + rng.choice([-1.0, 1.0]) * rng.uniform(5e-4, 5e-3)
    return Crystal(lattice=crystal.lattice * factor, numbers=crystal.numbers, frac_coords=crystal.frac_coords)


def sheared(crystal: Crystal, rng: np.random.Generator) -> Crystal:
    """Sheared at constant volume."""
    shear = np.eye(3)
    i, j = rng.choice(3, 2, replace=False)
    shear[i, j] = rng.choice([-1.0, 1.0]) * rng.uniform(5e-4, 5e-3)
    return Crystal(lattice=crystal.lattice @ shear, numbers=crystal.numbers, frac_coords=crystal.frac_coords)


def substituted(crystal: Crystal, rng: np.random.Generator) -> Crystal:
    """One atom's element replaced by a neighbour in the table."""
    numbers = crystal.numbers.copy()
    numbers[rng.integers(len(numbers))] += rng.choice([-1, 1]) if numbers.min() > 1 else 1
    return Crystal(lattice=crystal.lattice, numbers=numbers, frac_coords=crystal.frac_coords)


def exchanged(crystal: Crystal, rng: np.random.Generator) -> Crystal | None:
    """Two atoms of different elements in each other's places: the same formula, the same sites."""
    pairs = [
        (i, j) for i in range(crystal.num_atoms) for j in range(i) if crystal.numbers[i] != crystal.numbers[j]
    ]
    if crystal.num_atoms < 3 or not pairs:
        return None  # two atoms exchanged are the crystal inverted
    numbers = crystal.numbers.copy()
    i, j = pairs[int(rng.integers(len(pairs)))]
    numbers[[i, j]] = numbers[[j, i]]
    return Crystal(lattice=crystal.lattice, numbers=numbers, frac_coords=crystal.frac_coords)


@pytest.mark.parametrize("pairs", [FAST, MANY])
def test_settings_of_one_crystal_share(random_crystal, redescribe, pairs):
    rng = np.random.default_rng(10)
    for index in range(pairs):
        crystal = random_crystal(rng)
        assert shares(crystal, redescribe(crystal, rng, supercell=index % 3 == 0, mirror=bool(index % 2)))


@pytest.mark.parametrize("pairs", [FAST, MANY])
@pytest.mark.parametrize("change", [displaced, inflated, sheared, substituted, exchanged])
def test_distinct_crystals_never_share(random_crystal, redescribe, change: Change, pairs):
    rng = np.random.default_rng(11)
    compared = 0
    while compared < pairs:
        crystal = random_crystal(rng)
        other = change(crystal, rng)
        if other is not None:
            assert not shares(crystal, redescribe(other, rng, supercell=compared % 5 == 0))
            compared += 1


def test_random_crystals_of_one_formula_never_share():
    rng = np.random.default_rng(12)
    forms = []
    for _ in range(60):
        frac = rng.random((5, 3))
        forms.append(
            canonical_form(Crystal(lattice=np.eye(3) * 4.5, numbers=[11, 11, 17, 17, 8], frac_coords=frac))
        )
    assert not any(same_crystal(a, b) for i, a in enumerate(forms) for b in forms[:i])


HOMOMETRIC = [
    ((0, 3, 4, 5), (0, 4, 5, 7), 8),  # Patterson, Phys. Rev. 65, 195 (1944)
    ((0, 1, 4, 10, 12, 17), (0, 1, 8, 11, 13, 17), 36),  # equal differences on a line
]


@pytest.mark.parametrize(("first", "second", "period"), HOMOMETRIC)
def test_homometric_crystals_share_an_address_and_no_entry(first, second, period):
    """All interatomic distances are equal, so are all pair sums: only the proof tells them apart."""

    def chain(places: tuple[int, ...]) -> Crystal:
        frac = np.zeros((len(places), 3))
        frac[:, 2] = np.array(places) / period
        return Crystal(
            lattice=np.diag([3.0, 3.3, 1.1 * period]), numbers=[14] * len(places), frac_coords=frac
        )

    a, b = canonical_form(chain(first)), canonical_form(chain(second))
    np.testing.assert_allclose(a.invariants, b.invariants, atol=1e-9)
    assert a.key == b.key
    assert not same_crystal(a, b)
    assert same_crystal(a, canonical_form(chain(tuple(period - place for place in first))))


def test_enantiomorphs_share_because_every_value_kept_is_the_same_for_both(redescribe):
    """Left and right quartz-like screws: no rotation joins them, a mirror does; their energies are equal."""

    def screw(hand: int) -> Crystal:
        lattice = np.array([[4.9, 0, 0], [-2.45, 4.9 * np.sqrt(3) / 2, 0], [0, 0, 5.4]])
        x = 0.47
        silicon = [[x, 0, 0], [0, x, 1 / 3], [-x, -x, 2 / 3]]
        frac = np.array(silicon) * [1, 1, hand]
        return Crystal(lattice=lattice, numbers=[14] * 3, frac_coords=frac)

    rng = np.random.default_rng(13)
    assert shares(screw(1), redescribe(screw(-1), rng))


def test_large_cells_take_bounded_work():
    """A crystal of 512 atoms in a cell of its own, its supercell, and one with vacancies."""
    sites = np.array(list(np.ndindex(8, 8, 8))) / 8
    rng = np.random.default_rng(14)
    whole = Crystal(lattice=np.eye(3) * 24.0, numbers=np.full(512, 14), frac_coords=sites)
    assert len(canonical_form(whole).numbers) == 1
    holes = Crystal(lattice=np.eye(3) * 24.0, numbers=np.full(500, 14), frac_coords=sites[:500])
    moved = Crystal(
        lattice=holes.lattice, numbers=holes.numbers, frac_coords=rng.permutation(sites[:500]) + rng.random(3)
    )
    assert shares(holes, moved)
    noise = rng.normal(size=sites.shape) * 1e-3
    loose = Crystal(lattice=whole.lattice, numbers=whole.numbers, frac_coords=sites + noise)
    assert shares(
        loose, Crystal(lattice=whole.lattice, numbers=whole.numbers, frac_coords=loose.frac_coords[::-1])
    )
    assert not shares(
        loose, Crystal(lattice=whole.lattice, numbers=whole.numbers, frac_coords=sites - noise * 1.1)
    )
