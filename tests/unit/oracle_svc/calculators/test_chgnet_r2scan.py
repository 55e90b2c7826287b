from __future__ import annotations

import numpy as np
import pytest

from oracle_svc.calculators import open_calculator
from oracle_svc.status import Status
from xenolith.crystal import Crystal, CrystalBatch

SILICON = Crystal(
    lattice=[[0.0, 2.715, 2.715], [2.715, 0.0, 2.715], [2.715, 2.715, 0.0]],
    numbers=[14, 14],
    frac_coords=[[0.0, 0.0, 0.0], [0.25, 0.25, 0.25]],
)
SALT = Crystal(
    lattice=[[0.0, 2.8, 2.8], [2.8, 0.0, 2.8], [2.8, 2.8, 0.0]],
    numbers=[11, 17],
    frac_coords=[[0.0, 0.0, 0.0], [0.5, 0.5, 0.5]],
)


def test_energies_are_those_of_the_package_and_not_those_of_0_3_0():
    from chgnet.model import CHGNet
    from pymatgen.core import Lattice, Structure

    calculator, other = open_calculator("chgnet-r2scan"), open_calculator("chgnet")
    batch = CrystalBatch.from_crystals([SILICON, SALT])
    energies = calculator.evaluate(batch).energy_per_atom
    model = CHGNet.load(model_name="r2scan", verbose=False, use_device="cpu")
    for crystal, energy in zip(batch, energies, strict=True):
        structure = Structure(Lattice(crystal.lattice), crystal.numbers, crystal.frac_coords)
        assert energy == pytest.approx(float(model.predict_structure(structure)["e"]), abs=1e-4)
    assert np.abs(energies - other.evaluate(batch).energy_per_atom).min() > 0.1
    assert calculator.settings_digest != other.settings_digest
    assert calculator.scheme != other.scheme


def test_elements_without_an_atomic_energy_are_refused():
    ytterbium = Crystal(lattice=np.eye(3) * 4.0, numbers=[70], frac_coords=[[0.0, 0.0, 0.0]])
    outcome = open_calculator("chgnet-r2scan").evaluate(CrystalBatch.from_crystals([ytterbium]))
    assert outcome.statuses == (Status.UNSUPPORTED_ELEMENT,)
