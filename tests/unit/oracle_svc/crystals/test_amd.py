"""AMD vectors are those of the `average-minimum-distance` package, for any cell, with bounded work."""

from __future__ import annotations

from collections.abc import Callable

import amd as reference
import numpy as np
import pytest

from oracle_svc.crystals.amd import DEFAULT_K, amd_of, amd_vectors, chebyshev
from oracle_svc.crystals.amd_engines import open_amd_engine
from oracle_svc.crystals.neighbors import reduce_cell
from oracle_svc.status import Status
from tests.unit.oracle_svc.specimens import diamond, hopeless, perovskite, salt
from xenolith.crystal import Crystal, CrystalBatch
from xenolith.errors import InvalidArgumentError


def of_the_package(crystal: Crystal, k: int = DEFAULT_K) -> np.ndarray:
    # In the shortest cell: in very skew ones the package (1.6.1) ends its search too early.
    cell = reduce_cell(crystal.lattice)
    positions = crystal.frac_coords @ crystal.lattice
    motif = np.mod(np.linalg.solve(cell.T, positions.T).T, 1.0) @ cell
    vector: np.ndarray = reference.AMD(reference.PeriodicSet(motif, cell), k)
    return vector


@pytest.mark.parametrize("make", [salt, perovskite, diamond])
def test_agrees_with_the_package(make: Callable[[], Crystal]) -> None:
    crystal = make()
    vector = amd_of(crystal.lattice, crystal.frac_coords)
    np.testing.assert_allclose(vector, of_the_package(crystal), rtol=1e-6)


def test_random_cells_agree_with_the_package(
    random_crystal: Callable[[np.random.Generator], Crystal],
) -> None:
    rng = np.random.default_rng(7)
    batch = CrystalBatch.from_crystals([random_crystal(rng) for _ in range(40)])
    result = amd_vectors(batch)
    assert set(result.statuses) == {Status.OK}
    for crystal, vector in zip(batch, result.vectors, strict=True):
        np.testing.assert_allclose(vector, of_the_package(crystal), rtol=1e-6)


def test_known_crystals_agree_with_the_package(known_crystals: CrystalBatch) -> None:
    vectors = amd_vectors(known_crystals[:60]).vectors
    expected = [of_the_package(crystal) for crystal in known_crystals[:60]]
    np.testing.assert_allclose(vectors, expected, rtol=1e-6)


def test_first_shells_of_rocksalt() -> None:
    vector = amd_of(salt().lattice, salt().frac_coords, 18)
    np.testing.assert_allclose(vector, [5.69 / 2] * 6 + [5.69 / np.sqrt(2)] * 12, rtol=1e-12)


def test_one_crystal_in_other_words(redescribe: Callable[..., Crystal]) -> None:
    rng = np.random.default_rng(1)
    same = CrystalBatch.from_crystals([redescribe(perovskite(), rng, mirror=True) for _ in range(10)])
    expected = amd_of(perovskite().lattice, perovskite().frac_coords)
    np.testing.assert_allclose(amd_vectors(same).vectors, np.tile(expected, (10, 1)), atol=1e-9)


@pytest.mark.parametrize(
    "lattice",
    [
        np.diag([3.0, 3.0, 3000.0]),
        np.diag([0.5, 60.0, 60.0]),
        np.array([[3.0, 0, 0], [300, 3, 0], [1000, 5, 3]]),
    ],
    ids=["rod", "plate", "skew"],
)
def test_extreme_cells_agree_with_the_package(lattice: np.ndarray) -> None:
    coords = np.array([[0.0, 0.0, 0.0], [0.4, 0.5, 0.6]])
    crystal = Crystal(lattice=lattice, numbers=np.array([1, 1]), frac_coords=coords)
    np.testing.assert_allclose(amd_of(lattice, coords, 50), of_the_package(crystal, 50), rtol=1e-6)


def test_bad_structures_fail_alone() -> None:
    bad = hopeless()
    crystals = [c for crystal in bad.values() for c in (salt(), crystal)]
    result = amd_vectors(CrystalBatch.from_crystals(crystals))
    assert all(status is Status.OK for status in result.statuses[::2])
    failed = dict(zip(bad, result.statuses[1::2], strict=True))
    assert failed["empty"] is Status.MALFORMED
    assert failed["nan cell"] is failed["infinite coordinate"] is Status.NONFINITE
    assert failed["singular"] is failed["no volume"] is failed["beyond numbers"] is Status.BAD_CELL
    assert failed["a million atoms"] is Status.TOO_LARGE
    finite = np.isfinite(result.vectors).all(axis=1)
    assert finite.tolist() == [status is Status.OK for status in result.statuses]


def test_chebyshev_is_the_largest_difference() -> None:
    np.testing.assert_allclose(
        chebyshev(np.array([1.0, 2.0]), np.array([[1.5, 2.1], [1.0, 1.0]])), [0.5, 1.0]
    )
    assert chebyshev(np.array([1.0, 2.0]), np.zeros((0, 2))).shape == (0,)


@pytest.mark.parametrize("make", [salt, perovskite, diamond])
def test_both_engines_give_the_same_vectors(make: Callable[[], Crystal]) -> None:
    batch = CrystalBatch.from_crystals([make()])
    by_package = amd_vectors(batch, vector=open_amd_engine("package").vector)
    np.testing.assert_allclose(by_package.vectors, amd_vectors(batch).vectors, rtol=1e-6)


def test_a_missing_package_is_refused_with_its_licence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(InvalidArgumentError, match="commercial"):
        open_amd_engine("package")
