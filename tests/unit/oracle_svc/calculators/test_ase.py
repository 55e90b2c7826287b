"""Any ASE calculator serves; what it raises concerns the structure it was given."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.calculator import Calculator as AseBase
from ase.calculators.emt import EMT

from oracle_svc.calculators import open_calculator
from oracle_svc.calculators.base import Calculator
from oracle_svc.status import Status
from tests.unit.oracle_svc.specimens import FCC, hopeless, salt, simple
from xenolith.crystal import CrystalBatch

COPPER = simple(3.6 * FCC, 29)


class Fragile(EMT):  # type: ignore[misc]
    """EMT that gives up on gold."""

    def calculate(self, atoms: Atoms, *args: Any, **kwargs: Any) -> None:
        if "Au" in atoms.get_chemical_symbols():
            raise ZeroDivisionError("gold")
        super().calculate(atoms, *args, **kwargs)


def make_fragile(**options: Any) -> AseBase:
    return Fragile(**options)


def opened(**settings: Any) -> Calculator:
    return open_calculator("ase", **{"factory": "ase.calculators.emt:EMT", "id": "emt", **settings})


def test_energies_are_those_of_the_calculator() -> None:
    atoms = Atoms("Cu", cell=3.6 * FCC, pbc=True, calculator=EMT())
    calculator = opened(elements=["Cu", "Au"])
    result = calculator.evaluate(CrystalBatch.from_crystals([COPPER, salt(), COPPER]))
    assert result.energy_per_atom[0] == pytest.approx(atoms.get_potential_energy())
    assert result.statuses == (Status.OK, Status.UNSUPPORTED_ELEMENT, Status.OK)
    assert result.embeddings is None


def test_forces_and_stress_are_those_of_the_calculator() -> None:
    crystal = simple(np.diag([3.6, 3.7, 4.0]), 29, sites=3)
    atoms = Atoms(crystal.numbers, cell=crystal.lattice, scaled_positions=crystal.frac_coords, pbc=True)
    atoms.calc = EMT()
    result = opened().evaluate(CrystalBatch.from_crystals([COPPER, crystal]), with_forces=True)
    assert result.forces is not None and result.stress is not None
    np.testing.assert_allclose(result.forces[1:], atoms.get_forces())
    np.testing.assert_allclose(result.stress[1], atoms.get_stress(voigt=False))


def test_its_failures_are_the_structures_own() -> None:
    calculator = opened(factory=f"{__name__}:make_fragile")
    gold = simple(4.1 * FCC, 79)
    result = calculator.evaluate(CrystalBatch.from_crystals([COPPER, gold, salt(), COPPER]))
    assert result.statuses[0] is result.statuses[3] is Status.OK
    assert result.statuses[1] is result.statuses[2] is Status.CALCULATOR_FAILED
    assert result.messages[1] == "emt stopped: ZeroDivisionError: gold"


def test_the_hopeless_never_reach_it() -> None:
    result = opened().evaluate(CrystalBatch.from_crystals([*hopeless().values(), COPPER]))
    assert result.statuses[-1] is Status.OK
    assert result.statuses[0] is Status.MALFORMED


def test_settings_are_part_of_the_digest() -> None:
    assert opened().settings_digest != opened(options={"asap_cutoff": True}).settings_digest
    assert isinstance(opened(), Calculator)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"factory": "nowhere:EMT"}, "cannot be imported"),
        ({"factory": "ase.calculators.emt:Nothing"}, "cannot be imported"),
        ({"factory": "builtins:dict"}, "no ASE calculator"),
        ({"elements": ["Cu", "Xx"]}, "no element"),
    ],
)
def test_wrong_settings_are_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        opened(**settings)
