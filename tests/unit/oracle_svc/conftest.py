"""Descriptions of one crystal, for tests of what must not depend on the description."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from oracle_svc.known.reference.structures import read_structures
from xenolith.crystal import Crystal, CrystalBatch


@pytest.fixture(scope="session")
def random_crystal() -> Callable[[np.random.Generator], Crystal]:
    """A random crystal of 1 to 12 atoms in a random, often skewed cell."""

    def make(rng: np.random.Generator) -> Crystal:
        atoms = int(rng.integers(1, 13))
        lattice = rng.normal(size=(3, 3)) + 2.0 * np.eye(3)
        lattice *= (12.0 * atoms / abs(np.linalg.det(lattice))) ** (1 / 3)
        species = rng.integers(1, 95, size=3)
        return Crystal(
            lattice=lattice, numbers=rng.choice(species, size=atoms), frac_coords=rng.random((atoms, 3))
        )

    return make


@pytest.fixture(scope="session")
def redescribe() -> Callable[..., Crystal]:
    """The same crystal rotated, translated, relabelled and in another cell; mirrored if asked."""

    def make(
        crystal: Crystal, rng: np.random.Generator, *, supercell: bool = True, mirror: bool = False
    ) -> Crystal:
        lattice, numbers, frac = crystal.lattice, crystal.numbers, crystal.frac_coords + rng.random(3)
        if supercell:
            repeats = rng.integers(1, 3, size=3)
            cells = np.array(list(np.ndindex(*repeats)))
            frac = ((frac[:, None] + cells[None]) / repeats).reshape(-1, 3)
            numbers, lattice = np.repeat(numbers, len(cells)), lattice * repeats[:, None]
        change = _unimodular(rng)
        lattice, frac = change @ lattice, frac @ np.linalg.inv(change)
        order = rng.permutation(len(numbers))
        frac = frac[order] + rng.integers(-3, 4, size=frac.shape)
        return Crystal(
            lattice=lattice @ _orthogonal(rng, -1.0 if mirror else 1.0),
            numbers=numbers[order],
            frac_coords=frac,
        )

    return make


def _unimodular(rng: np.random.Generator) -> np.ndarray:
    matrix = np.eye(3, dtype=int)
    for _ in range(4):
        i, j = rng.choice(3, 2, replace=False)
        matrix[i] += rng.integers(-2, 3) * matrix[j]
    return matrix


def _orthogonal(rng: np.random.Generator, sign: float) -> np.ndarray:
    matrix, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    return matrix * (sign * np.sign(np.linalg.det(matrix)))


@pytest.fixture(scope="session")
def known_crystals(data_dir: Path) -> CrystalBatch:
    """200 crystals of MP-20."""
    table = read_structures(data_dir / "mp20.parquet")
    return table.batch.take(np.random.default_rng(0).choice(len(table), 200, replace=False))


@pytest.fixture(scope="session")
def mace_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of MACE's own class with random weights, as MACE saves it."""
    pytest.importorskip("mace", reason="the mace extra is not installed")
    import mace  # noqa: F401 - before e3nn
    import torch
    from e3nn import o3
    from mace import modules

    torch.manual_seed(0)
    block = modules.interaction_classes["RealAgnosticResidualInteractionBlock"]
    model = modules.ScaleShiftMACE(
        r_max=4.0,
        num_bessel=4,
        num_polynomial_cutoff=5,
        max_ell=2,
        interaction_cls=block,
        interaction_cls_first=block,
        num_interactions=2,
        num_elements=2,
        hidden_irreps=o3.Irreps("8x0e+8x1o"),
        MLP_irreps=o3.Irreps("4x0e"),
        atomic_energies=np.array([-1.0, -2.0]),
        avg_num_neighbors=8.0,
        atomic_numbers=[11, 17],
        correlation=2,
        gate=torch.nn.functional.silu,
        atomic_inter_scale=0.7,
        atomic_inter_shift=0.1,
    )
    path: Path = tmp_path_factory.mktemp("mace") / "small.model"
    torch.save(model, path)
    return path
