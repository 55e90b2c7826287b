"""Corrections are pymatgen's, per atom, and the same for every cell of a crystal."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure
from pymatgen.entries.compatibility import MaterialsProject2020Compatibility
from pymatgen.entries.computed_entries import ComputedStructureEntry
from pymatgen.io.vasp.sets import MPRelaxSet

from oracle_svc.calculators.mp2020 import correction_per_atom
from xenolith.crystal import Crystal

ROCKSALT = np.array([[0.0] * 3, [0.5] * 3])


def crystal(symbols: list[str], frac_coords: np.ndarray, edge: float = 4.2) -> Crystal:
    structure = Structure(Lattice.cubic(edge), symbols, frac_coords)
    return Crystal(
        lattice=structure.lattice.matrix,
        numbers=np.array(structure.atomic_numbers),
        frac_coords=structure.frac_coords,
    )


def pairs_of_oxygen(distance: float) -> Crystal:
    """Sodium with two oxygens at a distance, Angstrom."""
    return crystal(
        ["Na", "Na", "O", "O"],
        np.array([[0, 0, 0], [0.5, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0.5 + distance / 6]]),
        6.0,
    )


CRYSTALS = {
    "salt": crystal(["Na", "Cl"], ROCKSALT),
    "oxide": crystal(["Mg", "O"], ROCKSALT),
    "oxide of a metal with U": crystal(["Fe", "O"], ROCKSALT),
    "fluoride of a metal with U": crystal(["Fe", "F"], ROCKSALT),
    "alloy of a metal with U": crystal(["Fe", "Al"], ROCKSALT),
    "sulfide": crystal(["Zn", "S"], ROCKSALT),
    "peroxide": pairs_of_oxygen(1.48),
    "superoxide": pairs_of_oxygen(1.30),
    "two anions": crystal(["Bi", "O", "Cl"], np.array([[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0, 0]])),
}


@pytest.mark.parametrize("name", CRYSTALS)
def test_equals_what_pymatgen_corrects_a_calculation_by(name: str) -> None:
    given = CRYSTALS[name]
    structure = Structure(Lattice(given.lattice), given.numbers.tolist(), given.frac_coords)
    most = max(structure.composition.elements, key=lambda element: element.X).symbol
    settings = MPRelaxSet.CONFIG["INCAR"]["LDAUU"].get(most, {})
    entry = ComputedStructureEntry(
        structure,
        0.0,
        parameters={
            "run_type": "GGA+U",
            "hubbards": {
                e.symbol: settings[e.symbol] for e in structure.composition.elements if e.symbol in settings
            },
            "software": "none",
        },
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        adjustments = MaterialsProject2020Compatibility().get_adjustments(entry)
    expected = sum(adjustment.value for adjustment in adjustments) / len(structure)
    assert correction_per_atom(given) == pytest.approx(expected, abs=1e-12)


def test_is_the_same_for_a_supercell() -> None:
    given = CRYSTALS["peroxide"]
    structure = Structure(Lattice(given.lattice), given.numbers.tolist(), given.frac_coords) * (2, 1, 2)
    larger = Crystal(
        lattice=structure.lattice.matrix,
        numbers=np.array(structure.atomic_numbers),
        frac_coords=structure.frac_coords,
    )
    assert correction_per_atom(larger) == pytest.approx(correction_per_atom(given), abs=1e-12)


def test_leaves_elements_alone() -> None:
    assert correction_per_atom(crystal(["O", "O"], ROCKSALT)) == 0.0


def test_tells_peroxides_and_superoxides_from_oxides() -> None:
    apart = pairs_of_oxygen(2.6)
    found = {correction_per_atom(c) for c in (apart, CRYSTALS["peroxide"], CRYSTALS["superoxide"])}
    assert len(found) == 3
