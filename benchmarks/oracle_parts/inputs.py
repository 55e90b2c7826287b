"""The crystals that are scored, and the MACE model that scores them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from oracle_svc.known.reference.structures import StructureTable, read_structures
from xenolith.crystal import Crystal, CrystalBatch

MALFORMED = 0.05


def mp20() -> StructureTable:
    folder = os.environ.get("XENOLITH_DATA")
    if not folder:
        raise SystemExit("set XENOLITH_DATA to the folder of mp20.parquet (xenolith data fetch mp-20)")
    return read_structures(Path(folder) / "mp20.parquet")


def perturbed(table: StructureTable, count: int, seed: int, *, malformed: float = MALFORMED) -> CrystalBatch:
    """Structures of MP-20 with atoms moved by 0.05 A and cells strained by up to 3 %, some of them broken."""
    rng = np.random.default_rng([2, seed])
    made = [_disturbed(table.batch[int(row)], rng) for row in rng.choice(len(table), count, replace=False)]
    broken = rng.choice(count, round(malformed * count), replace=False)
    for place, index in enumerate(broken.tolist()):
        made[index] = _broken(made[index], place % 5)
    return CrystalBatch.from_crystals(made)


def _disturbed(crystal: Crystal, rng: np.random.Generator) -> Crystal:
    strain = rng.normal(size=(3, 3))
    strain = (strain + strain.T) * rng.uniform(0, 0.03) / np.abs(np.linalg.eigvalsh(strain + strain.T)).max()
    lattice = crystal.lattice @ (np.eye(3) + strain)
    moved = crystal.frac_coords + rng.normal(scale=0.05, size=(crystal.num_atoms, 3)) @ np.linalg.inv(lattice)
    return Crystal(lattice=lattice, numbers=crystal.numbers, frac_coords=moved)


def _broken(crystal: Crystal, kind: int) -> Crystal:
    """NaN, all atoms on one point, a singular cell, an unknown element, a thousandth of the volume."""
    lattice, numbers = crystal.lattice.copy(), crystal.numbers.copy()
    coordinates = crystal.frac_coords.copy()
    if kind == 0:
        coordinates[0, 0] = np.nan
    elif kind == 1:
        coordinates[:] = 0.25
        lattice = lattice if len(numbers) > 1 else np.eye(3) * 0.4
    elif kind == 2:
        lattice[2] = lattice[0]
    elif kind == 3:
        numbers[0] = 119
    else:
        lattice *= 0.1
    return Crystal(lattice=lattice, numbers=numbers, frac_coords=coordinates)


def mpa0_with_random_weights(folder: Path) -> Path:
    """A model of the architecture of MACE-MPA-0 (9.06 M parameters), as the oracle reads it.

    Density-normalised interactions, Agnesi's transform, ZBL repulsion, 128x0e + 128x1o, 10 Bessel functions
    up to 6 A, 89 elements. Its weights are random: the cost is that of the published model, the energies
    mean nothing.
    """
    import mace  # noqa: F401 - before e3nn
    import torch
    from e3nn import o3
    from mace import modules

    from oracle_svc.calculators.mace.model import save_model

    torch.manual_seed(0)
    config: dict[str, Any] = {
        "r_max": 6.0,
        "num_bessel": 10,
        "num_polynomial_cutoff": 5,
        "max_ell": 3,
        "interaction_cls_first": modules.interaction_classes["RealAgnosticDensityInteractionBlock"],
        "interaction_cls": modules.interaction_classes["RealAgnosticDensityResidualInteractionBlock"],
        "num_interactions": 2,
        "num_elements": 89,
        "hidden_irreps": o3.Irreps("128x0e+128x1o"),
        "MLP_irreps": o3.Irreps("16x0e"),
        "atomic_energies": -np.linspace(1.0, 9.0, 89),
        "avg_num_neighbors": 60.0,
        "atomic_numbers": [z for z in range(1, 95) if not 84 <= z <= 88],
        "correlation": 3,
        "gate": torch.nn.functional.silu,
        "pair_repulsion": True,
        "distance_transform": "Agnesi",
        "atomic_inter_scale": 0.8,
        "atomic_inter_shift": 0.1,
    }
    model = modules.ScaleShiftMACE(**config)
    save_model(config, model.state_dict(), folder)
    return folder
