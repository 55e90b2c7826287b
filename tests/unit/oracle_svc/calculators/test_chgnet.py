"""CHGNet's numbers are those of its own library, for every batch, and a bad structure is its own affair."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from oracle_svc.calculators import open_calculator
from oracle_svc.calculators.base import Calculator
from oracle_svc.calculators.chgnet.calculator import ChgnetCalculator
from oracle_svc.status import Status
from tests.unit.oracle_svc.specimens import diamond, hopeless, perovskite, salt, simple
from xenolith.crystal import Crystal, CrystalBatch


@pytest.fixture(scope="module")
def chgnet() -> ChgnetCalculator:
    return ChgnetCalculator()


@pytest.fixture(scope="module")
def library() -> Callable[[Crystal], dict[str, np.ndarray]]:
    from chgnet.model import CHGNet

    model = CHGNet.load(use_device="cpu", verbose=False)

    def predict(crystal: Crystal) -> dict[str, np.ndarray]:
        structure = Structure(Lattice(crystal.lattice), crystal.numbers, crystal.frac_coords)
        result: dict[str, np.ndarray] = model.predict_structure(structure, task="e", return_crystal_feas=True)
        return result

    return predict


def test_published_energies(chgnet: ChgnetCalculator) -> None:
    batch = CrystalBatch.from_crystals([salt(), perovskite(), diamond()])
    energies = chgnet.evaluate(batch).energy_per_atom
    np.testing.assert_allclose(energies, [-3.66797, -8.41672, -5.31218], atol=1e-4)


def test_agrees_with_the_library(
    chgnet: ChgnetCalculator,
    library: Callable[[Crystal], dict[str, np.ndarray]],
    random_crystal: Callable[[np.random.Generator], Crystal],
) -> None:
    rng = np.random.default_rng(3)
    candidates = [salt(), perovskite(), diamond(), *(random_crystal(rng) for _ in range(25))]
    batch = CrystalBatch.from_crystals([c for c in candidates if set(c.numbers.tolist()) <= chgnet.elements])
    result = chgnet.evaluate(batch)
    assert len(batch) > 15
    assert result.embeddings is not None
    for crystal, energy, embedding, status in zip(
        batch, result.energy_per_atom, result.embeddings, result.statuses, strict=True
    ):
        expected = library(crystal)
        assert status is Status.OK
        # Random sites are far from equilibrium, with energies of hundreds of eV: relative there.
        assert energy == pytest.approx(float(expected["e"]), abs=1e-4, rel=1e-5)
        np.testing.assert_allclose(embedding, expected["crystal_fea"] / crystal.num_atoms, atol=1e-3)


def test_real_crystals_agree_with_the_library(
    chgnet: ChgnetCalculator,
    library: Callable[[Crystal], dict[str, np.ndarray]],
    known_crystals: CrystalBatch,
) -> None:
    energies = chgnet.evaluate(known_crystals).energy_per_atom
    expected = [float(library(crystal)["e"]) for crystal in known_crystals[:40]]
    np.testing.assert_allclose(energies[:40], expected, atol=1e-4)


def test_neighbours_in_a_batch_change_nothing(chgnet: ChgnetCalculator, known_crystals: CrystalBatch) -> None:
    together = chgnet.evaluate(known_crystals).energy_per_atom
    alone = [chgnet.evaluate(known_crystals[i : i + 1]).energy_per_atom[0] for i in range(30)]
    np.testing.assert_allclose(together[:30], alone, atol=1e-5)


def test_one_crystal_in_other_words(chgnet: ChgnetCalculator, redescribe: Callable[..., Crystal]) -> None:
    rng = np.random.default_rng(0)
    same = [perovskite(), *(redescribe(perovskite(), rng) for _ in range(8))]
    result = chgnet.evaluate(CrystalBatch.from_crystals(same))
    assert result.embeddings is not None
    np.testing.assert_allclose(result.energy_per_atom, result.energy_per_atom[0], atol=2e-5)
    np.testing.assert_allclose(result.embeddings, np.tile(result.embeddings[0], (9, 1)), atol=1e-3)


def test_bad_structures_fail_alone(chgnet: ChgnetCalculator) -> None:
    bad = hopeless()
    crystals = [salt()]
    for crystal in bad.values():
        crystals += [crystal, salt()]
    result = chgnet.evaluate(CrystalBatch.from_crystals(crystals))
    assert all(status is Status.OK for status in result.statuses[::2])
    np.testing.assert_allclose(result.energy_per_atom[::2], result.energy_per_atom[0], atol=1e-5)
    failed = dict(zip(bad, result.statuses[1::2], strict=True))
    assert Status.OK not in {status for name, status in failed.items() if name != "huge coordinate"}
    assert failed["empty"] is Status.MALFORMED
    assert failed["nan cell"] is Status.NONFINITE
    assert failed["singular"] is Status.BAD_CELL
    assert failed["nothing"] is failed["beyond the table"] is Status.UNSUPPORTED_ELEMENT
    assert failed["one point"] is Status.TOO_CLOSE
    assert failed["a million atoms"] is Status.TOO_LARGE
    assert all(result.messages[1::2][i] for i, name in enumerate(bad) if failed[name] is not Status.OK)
    assert np.isnan(result.energy_per_atom[1::2][0])


def test_isolated_atoms_are_said_to_be_undefined(chgnet: ChgnetCalculator) -> None:
    result = chgnet.evaluate(CrystalBatch.from_crystals([simple(20 * np.eye(3))]))
    assert result.statuses == (Status.CALCULATOR_FAILED,)
    assert "no neighbour within 6 A" in result.messages[0]


def test_an_empty_batch_is_an_empty_answer(chgnet: ChgnetCalculator) -> None:
    assert len(chgnet.evaluate(CrystalBatch.from_crystals([]))) == 0


def test_is_a_calculator(chgnet: ChgnetCalculator) -> None:
    opened = open_calculator("chgnet")
    assert isinstance(opened, Calculator)
    assert opened.settings_digest == chgnet.settings_digest
    assert len(chgnet.elements) == 89


def test_unknown_calculators_and_settings_are_named() -> None:
    with pytest.raises(ValueError, match=r"no calculator 'lammps'.*chgnet"):
        open_calculator("lammps")
    with pytest.raises(ValueError, match="colour"):
        open_calculator("chgnet", colour="red")


def test_forces_and_stress_are_the_library_s(chgnet: ChgnetCalculator, known_crystals: CrystalBatch) -> None:
    from chgnet.model import CHGNet

    model = CHGNet.load(use_device="cpu", verbose=False)
    batch = CrystalBatch.from_crystals([*known_crystals[:8], simple(np.diag([2.1, 2.4, 9.0]), sites=2)])
    result = chgnet.evaluate(batch, with_forces=True)
    assert result.forces is not None and result.stress is not None
    np.testing.assert_allclose(
        result.energy_per_atom, chgnet.evaluate(batch).energy_per_atom, atol=1e-5, rtol=1e-6
    )
    for index, crystal in enumerate(batch):
        structure = Structure(Lattice(crystal.lattice), crystal.numbers, crystal.frac_coords)
        expected = model.predict_structure(structure, task="efs")
        forces = result.forces[batch.offsets[index] : batch.offsets[index + 1]]
        np.testing.assert_allclose(forces, expected["f"], atol=1e-3, rtol=1e-3)
        np.testing.assert_allclose(result.stress[index], expected["s"] / 160.21766, atol=1e-4, rtol=1e-3)
