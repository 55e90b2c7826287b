"""The fast MACE network against MACE's own forward pass, on real models of every architecture it knows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from oracle_svc.calculators import open_calculator
from oracle_svc.calculators.base import Evaluation
from oracle_svc.status import Status
from tests.unit.oracle_svc.specimens import salt
from xenolith.crystal import Crystal, CrystalBatch

pytest.importorskip("mace", reason="the mace extra is not installed")

ARCHITECTURES: dict[str, dict[str, Any]] = {
    "residual": {},
    "three layers, vectors kept": {
        "num_interactions": 3,
        "keep_last_layer_irreps": True,
        "hidden_irreps": "6x0e+6x1o+6x2e",
    },
    "density, as MPA-0": {
        "interaction_cls_first": "RealAgnosticDensityInteractionBlock",
        "interaction_cls": "RealAgnosticDensityResidualInteractionBlock",
        "pair_repulsion": True,
        "distance_transform": "Agnesi",
        "num_bessel": 10,
    },
    "cutoff on the weights": {"apply_cutoff": False},
    "no self-connection first, scalars": {
        "interaction_cls_first": "RealAgnosticInteractionBlock",
        "hidden_irreps": "8x0e",
        "correlation": 2,
    },
    "two heads, one readout": {
        "heads": ["one", "two"],
        "atomic_energies": [[-1.0, -2.0, -4.0], [-1.5, -2.5, -4.5]],
        "atomic_inter_scale": [0.7, 0.9],
        "atomic_inter_shift": [0.1, -0.1],
        "use_last_readout_only": True,
    },
}


def make_model(folder: Path, changes: dict[str, Any]) -> Path:
    """A model with random weights, as data."""
    import mace  # noqa: F401 - before e3nn
    import torch
    from e3nn import o3
    from mace import modules

    from oracle_svc.calculators.mace.model import save_model

    torch.manual_seed(1)
    config: dict[str, Any] = {
        "r_max": 4.0, "num_bessel": 4, "num_polynomial_cutoff": 5, "max_ell": 2,
        "interaction_cls": "RealAgnosticResidualInteractionBlock",
        "interaction_cls_first": "RealAgnosticResidualInteractionBlock",
        "num_interactions": 2, "num_elements": 3, "hidden_irreps": "8x0e+8x1o", "MLP_irreps": "4x0e",
        "atomic_energies": [-1.0, -2.0, -4.0], "avg_num_neighbors": 8.0, "atomic_numbers": [6, 11, 17],
        "correlation": 3, "gate": torch.nn.functional.silu,
        "atomic_inter_scale": 0.7, "atomic_inter_shift": 0.1,
    } | changes  # fmt: skip
    for name in ("interaction_cls", "interaction_cls_first"):
        config[name] = modules.interaction_classes[config[name]]
    for name in ("hidden_irreps", "MLP_irreps"):
        config[name] = o3.Irreps(config[name])
    for name in ("atomic_energies", "atomic_inter_scale", "atomic_inter_shift"):
        config[name] = np.array(config[name])
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        model = modules.ScaleShiftMACE(**config)
    finally:
        torch.set_default_dtype(before)
    save_model(config, model.state_dict(), folder)
    return folder


def crystals() -> CrystalBatch:
    """Cells of one to nine atoms, one so wide that its atom has no neighbour."""
    rng = np.random.default_rng(0)
    made = [salt(), Crystal(lattice=9 * np.eye(3), numbers=[11], frac_coords=np.zeros((1, 3)))]
    made += [Crystal(lattice=2.6 * np.eye(3), numbers=[17], frac_coords=np.zeros((1, 3)))]
    for count in (2, 5, 9):
        lattice = (18 * count) ** (1 / 3) * (np.eye(3) + 0.1 * rng.normal(size=(3, 3)))
        numbers = rng.choice([6, 11, 17], size=count)
        made.append(Crystal(lattice=lattice, numbers=numbers, frac_coords=rng.random((count, 3))))
    return CrystalBatch.from_crystals(made)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_gives_the_numbers_of_the_library(name: str, tmp_path: Path) -> None:
    folder = make_model(tmp_path, ARCHITECTURES[name])
    head = "two" if "heads" in ARCHITECTURES[name] else None

    def evaluate(dtype: str, library: bool, with_forces: bool = False) -> Evaluation:
        opened = open_calculator("mace", path=str(folder), dtype=dtype, head=head, library=library)
        assert (opened._network is None) is library  # type: ignore[attr-defined]
        return opened.evaluate(crystals(), with_forces=with_forces)

    theirs, ours = evaluate("float64", True, True), evaluate("float64", False, True)
    assert set(ours.statuses) == set(theirs.statuses) == {Status.OK}
    assert np.ptp(theirs.energy_per_atom) > 0.1
    for field in ("energy_per_atom", "embeddings", "forces", "stress"):
        np.testing.assert_allclose(getattr(ours, field), getattr(theirs, field), atol=1e-6, err_msg=field)
    single = evaluate("float32", False)
    np.testing.assert_allclose(single.energy_per_atom, theirs.energy_per_atom, atol=1e-5)


def test_energies_do_not_depend_on_the_batch(tmp_path: Path) -> None:
    opened = open_calculator("mace", path=str(make_model(tmp_path, {})), dtype="float64")
    batch = crystals()
    together = opened.evaluate(batch).energy_per_atom
    alone = [opened.evaluate(batch.take([index])).energy_per_atom[0] for index in range(len(batch))]
    np.testing.assert_allclose(together, alone, atol=1e-10)


def test_a_crystal_without_numbers_spoils_no_other(tmp_path: Path) -> None:
    """Two atoms on one point give NaN, which must not reach the neighbours in the same tables."""
    opened = open_calculator("mace", path=str(make_model(tmp_path, {})))
    good = crystals()
    bad = Crystal(lattice=4 * np.eye(3), numbers=[11, 17], frac_coords=np.full((2, 3), 0.5))
    result = opened.evaluate(CrystalBatch.from_crystals([bad, *good]))
    assert result.statuses[0] is Status.CALCULATOR_FAILED
    np.testing.assert_allclose(result.energy_per_atom[1:], opened.evaluate(good).energy_per_atom, atol=1e-6)


def test_other_architectures_fall_back_to_the_library(tmp_path: Path) -> None:
    changes = {"interaction_cls": "RealAgnosticAttResidualInteractionBlock"}
    opened = open_calculator("mace", path=str(make_model(tmp_path, changes)))
    assert opened._network is None  # type: ignore[attr-defined]
    assert set(opened.evaluate(crystals().take([0, 4])).statuses) == {Status.OK}
