"""SevenNet-l3i5, in whatever interpreter has it: equal to its own calculator, and corrected."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from ase import Atoms

from oracle_svc.calculators import open_calculator
from oracle_svc.calculators.base import Calculator
from oracle_svc.calculators.mp2020 import correction_per_atom
from oracle_svc.calculators.validation.validate import validate_calculator
from tests.unit.oracle_svc.specimens import diamond, salt
from xenolith.crystal import Crystal, CrystalBatch

pytest.importorskip("sevenn", reason="the sevennet extra is not installed here")


@pytest.fixture(scope="module")
def calculator() -> Calculator:
    return open_calculator("sevennet-l3i5")


def oxide() -> Crystal:
    cell = 4.2 * np.eye(3)
    return Crystal(
        lattice=cell, numbers=np.array([26, 8]), frac_coords=np.array([[0.0] * 3, [0.5, 0.45, 0.5]])
    )


def test_equals_sevennets_own_calculator_before_the_corrections(calculator: Calculator) -> None:
    from sevenn.calculator import SevenNetCalculator

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        library = SevenNetCalculator("7net-l3i5", device="cpu")
    crystals = [salt(), diamond(), oxide()]
    found = calculator.evaluate(CrystalBatch.from_crystals(crystals), with_forces=True)
    assert found.raw_energy_per_atom is not None and found.forces is not None and found.stress is not None
    begin = 0
    for place, crystal in enumerate(crystals):
        atoms = Atoms(
            numbers=crystal.numbers, cell=crystal.lattice, scaled_positions=crystal.frac_coords, pbc=True
        )
        atoms.calc = library
        end = begin + len(atoms)
        assert found.raw_energy_per_atom[place] == pytest.approx(
            atoms.get_potential_energy() / len(atoms), abs=1e-5
        )
        assert found.forces[begin:end] == pytest.approx(atoms.get_forces(), abs=1e-4)
        assert found.stress[place] == pytest.approx(atoms.get_stress(voigt=False), abs=1e-5)
        begin = end


def test_energies_are_the_raw_ones_and_the_corrections(calculator: Calculator) -> None:
    found = calculator.evaluate(CrystalBatch.from_crystals([oxide(), diamond()]))
    assert found.raw_energy_per_atom is not None
    added = found.energy_per_atom - found.raw_energy_per_atom
    assert added == pytest.approx([correction_per_atom(oxide()), 0.0], abs=1e-9)
    assert added[0] < -0.3


def test_compiled_energies_are_the_same() -> None:
    import torch

    from oracle_svc.calculators.sevennet.network import SevennetNetwork
    from oracle_svc.crystals.neighbors import find_neighbors

    network = SevennetNetwork(torch.device("cpu"), compile_after=1)
    crystal = salt()
    bonds = [find_neighbors(crystal.lattice, crystal.frac_coords, network.cutoff)]
    rows = [np.array([network.row_of[int(z)] for z in crystal.numbers])]
    before, after = network.energies(bonds, rows), network.energies(bonds, rows)
    assert after == pytest.approx(before, abs=1e-6)


@pytest.mark.slow
def test_keeps_what_the_protocol_promises(calculator: Calculator) -> None:
    report = validate_calculator(calculator)
    assert report.passed, report
