"""A real, small MACE model: converted, loaded as data, and equal to MACE's own calculator."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms

from oracle_svc.calculators import open_calculator
from oracle_svc.calculators.base import Calculator
from oracle_svc.status import Status
from tests.unit.oracle_svc.specimens import diamond, hopeless, salt
from xenolith.crystal import Crystal, CrystalBatch

pytest.importorskip("mace", reason="the mace extra is not installed")


@pytest.fixture(scope="module")
def checkpoint(mace_checkpoint: Path) -> Path:
    return mace_checkpoint


@pytest.fixture(scope="module")
def folder(checkpoint: Path) -> Path:
    from oracle_svc.calculators.mace.convert import main

    target = checkpoint.parent / "converted"
    assert main([str(checkpoint), str(target), "--trust"]) == 0
    return target


@pytest.fixture(scope="module")
def calculator(folder: Path) -> Calculator:
    return open_calculator("mace", path=str(folder), dtype="float64")


@pytest.fixture(scope="module")
def library(checkpoint: Path) -> Any:
    from mace.calculators import MACECalculator

    return MACECalculator(model_paths=str(checkpoint), device="cpu", default_dtype="float64")


def crystals() -> list[Crystal]:
    rng = np.random.default_rng(0)
    lattice = 5 * np.eye(3) + rng.normal(size=(3, 3))
    other = Crystal(lattice=lattice, numbers=np.array([11, 17, 17, 11, 11]), frac_coords=rng.random((5, 3)))
    skew = Crystal(
        lattice=np.array([[1, 0, 0], [9, 1, 0], [40, -7, 1]]) @ lattice,
        numbers=other.numbers,
        frac_coords=other.frac_coords,
    )
    return [salt(), other, skew]


def test_agrees_with_the_library(calculator: Calculator, library: Any) -> None:
    batch = CrystalBatch.from_crystals(crystals())
    result = calculator.evaluate(batch, with_forces=True)
    assert result.embeddings is not None and result.forces is not None and result.stress is not None
    np.testing.assert_allclose(calculator.evaluate(batch).energy_per_atom, result.energy_per_atom, atol=1e-9)
    for index, crystal in enumerate(batch):
        atoms = Atoms(crystal.numbers, cell=crystal.lattice, scaled_positions=crystal.frac_coords, pbc=True)
        atoms.calc = library
        forces = result.forces[batch.offsets[index] : batch.offsets[index + 1]]
        np.testing.assert_allclose(forces, atoms.get_forces(), atol=1e-5)
        np.testing.assert_allclose(result.stress[index], atoms.get_stress(voigt=False), atol=1e-7)
    for crystal, energy, embedding in zip(crystals(), result.energy_per_atom, result.embeddings, strict=True):
        atoms = Atoms(crystal.numbers, cell=crystal.lattice, scaled_positions=crystal.frac_coords, pbc=True)
        atoms.calc = library
        assert energy * len(atoms) == pytest.approx(atoms.get_potential_energy(), abs=1e-6)
        expected = library.get_descriptors(atoms).mean(axis=0)
        np.testing.assert_allclose(embedding, expected, atol=1e-5)


def test_bad_structures_fail_alone(calculator: Calculator) -> None:
    batch = [salt(), *hopeless().values(), diamond(), salt()]
    result = calculator.evaluate(CrystalBatch.from_crystals(batch))
    assert result.statuses[0] is result.statuses[-1] is Status.OK
    assert result.statuses[-2] is Status.UNSUPPORTED_ELEMENT
    assert result.energy_per_atom[0] == pytest.approx(result.energy_per_atom[-1], abs=1e-9)


def test_is_a_calculator(calculator: Calculator, folder: Path) -> None:
    assert isinstance(calculator, Calculator)
    assert calculator.elements == {11, 17}
    assert open_calculator("mace", path=str(folder), name="mine").id == "mine"
    assert open_calculator("mace", path=str(folder)).settings_digest != calculator.settings_digest


def test_a_checkpoint_is_not_unpickled_by_the_oracle(checkpoint: Path) -> None:
    with pytest.raises(ValueError, match=r"mace\.convert"):
        open_calculator("mace", path=str(checkpoint.parent))


def test_conversion_needs_trust(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from oracle_svc.calculators.mace.convert import main

    with pytest.raises(SystemExit):
        main([str(checkpoint), str(tmp_path / "out")])
    assert "runs the code in it" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_unknown_head_is_named(folder: Path) -> None:
    with pytest.raises(ValueError, match="choose a head"):
        open_calculator("mace", path=str(folder), head="dft")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_passes_the_validator(folder: Path, dtype: str) -> None:
    from oracle_svc.calculators.validation.validate import validate_calculator

    report = validate_calculator(open_calculator("mace", path=str(folder), dtype=dtype))
    assert report.passed, str(report)
