"""Textbook crystals and hopeless ones, for the tests of the oracle's modules."""

from __future__ import annotations

import numpy as np

from xenolith.crystal import Crystal

FCC = (np.ones((3, 3)) - np.eye(3)) / 2


def salt() -> Crystal:
    """Rocksalt NaCl, a = 5.69 A."""
    return Crystal(
        lattice=5.69 * FCC, numbers=np.array([11, 17]), frac_coords=np.array([[0.0] * 3, [0.5] * 3])
    )


def perovskite() -> Crystal:
    """Cubic SrTiO3, a = 3.9 A."""
    sites = [[0.0, 0.0, 0.0], [0.5, 0.5, 0.5], [0.5, 0.5, 0.0], [0.5, 0.0, 0.5], [0.0, 0.5, 0.5]]
    return Crystal(lattice=3.9 * np.eye(3), numbers=np.array([38, 22, 8, 8, 8]), frac_coords=np.array(sites))


def diamond() -> Crystal:
    """Diamond-type Si, a = 5.43 A."""
    return Crystal(
        lattice=5.43 * FCC, numbers=np.array([14, 14]), frac_coords=np.array([[0.0] * 3, [0.25] * 3])
    )


def simple(lattice: np.ndarray, number: int = 14, sites: int = 1) -> Crystal:
    """One element on random sites of any cell."""
    coords = np.random.default_rng(0).random((sites, 3))
    return Crystal(lattice=lattice, numbers=np.full(sites, number), frac_coords=coords)


def hopeless() -> dict[str, Crystal]:
    """Structures that no physics can be computed of, by what is wrong with them."""
    good = salt()

    def changed(**columns: object) -> Crystal:
        return Crystal(
            **{"lattice": good.lattice, "numbers": good.numbers, "frac_coords": good.frac_coords, **columns}
        )  # type: ignore[arg-type]

    return {
        "empty": Crystal(lattice=np.eye(3), numbers=np.zeros(0, dtype=int), frac_coords=np.zeros((0, 3))),
        "nan cell": changed(lattice=np.full((3, 3), np.nan)),
        "infinite coordinate": changed(frac_coords=np.array([[0, 0, np.inf], [0.5, 0.5, 0.5]])),
        "huge coordinate": changed(frac_coords=np.array([[0, 0, 1e300], [0.5, 0.5, 0.5]])),
        "singular": changed(lattice=np.ones((3, 3))),
        "flat": changed(lattice=np.diag([5.0, 5.0, 1e-9])),
        "needle": changed(lattice=np.diag([1e-7, 1e7, 5.0])),
        "no volume": changed(lattice=np.diag([1e-150] * 3)),
        "beyond numbers": changed(lattice=np.diag([1e150] * 3)),
        "nothing": changed(numbers=np.array([0, 17])),
        "beyond the table": changed(numbers=np.array([11, 119])),
        "negative": changed(numbers=np.array([-11, 17])),
        "one point": changed(frac_coords=np.zeros((2, 3))),
        "crowd": Crystal(lattice=3 * np.eye(3), numbers=np.full(400, 14), frac_coords=np.zeros((400, 3))),
        "a million atoms": Crystal(
            lattice=500 * np.eye(3), numbers=np.full(1_000_000, 14), frac_coords=np.zeros((1_000_000, 3))
        ),
    }
