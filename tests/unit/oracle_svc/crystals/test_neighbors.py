"""The neighbour search finds every pair, in any description of the lattice."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from oracle_svc.crystals.neighbors import SearchTooLargeError, find_neighbors, reduce_cell
from xenolith.crystal import Crystal


def by_hand(crystal: Crystal, radius: float) -> np.ndarray:
    """Sorted distances of all ordered pairs, from a generous block of images."""
    heights = 1 / np.linalg.norm(np.linalg.inv(crystal.lattice), axis=0)
    reach = np.ceil(radius / heights).astype(int) + 1
    images = np.array(list(np.ndindex(*(2 * reach + 1)))) - reach
    frac = np.mod(crystal.frac_coords, 1.0)
    steps = frac[None, :, None] + images[None, None] - frac[:, None, None]
    distances = np.linalg.norm(steps.reshape(-1, 3) @ crystal.lattice, axis=1)
    return np.sort(distances[(distances <= radius) & (distances > 1e-9)])


def test_every_pair_is_found(random_crystal: Callable[[np.random.Generator], Crystal]) -> None:
    rng = np.random.default_rng(5)
    for _ in range(20):
        crystal = random_crystal(rng)
        found = find_neighbors(crystal.lattice, crystal.frac_coords, 5.0)
        np.testing.assert_allclose(np.sort(found.distance), by_hand(crystal, 5.0), atol=1e-9)
        vector = found.positions[found.neighbor] + found.image @ found.lattice - found.positions[found.center]
        np.testing.assert_allclose(np.linalg.norm(vector, axis=1), found.distance, atol=1e-9)


def test_a_reduced_cell_spans_the_same_lattice() -> None:
    skew = np.array([[3.0, 0.0, 0.0], [3000.0, 4.0, 0.0], [1e5, 7.0, 5.0]])
    short = reduce_cell(skew)
    change = short @ np.linalg.inv(skew)
    np.testing.assert_allclose(change, np.round(change), atol=1e-6)
    assert abs(np.linalg.det(change)) == pytest.approx(1)
    assert np.linalg.norm(short, axis=1).max() < 6


def test_unbounded_work_is_refused() -> None:
    with pytest.raises(SearchTooLargeError, match="more than"):
        find_neighbors(np.diag([1e-4, 1e-4, 1e-4]), np.zeros((1, 3)), 6.0)
