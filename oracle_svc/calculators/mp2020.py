"""The Materials Project's corrections of 2020: what makes plain PBE(+U) energies MP2020-corrected ones.

A model that learned uncorrected energies of the Materials Project meets a hull of corrected ones, or a model
that learned those, through the corrections alone. They are pymatgen's `MaterialsProject2020Compatibility`:
energies per anion and per transition metal of an oxide or fluoride. They depend on the composition, and on
whether oxygen and sulphur are bound to themselves, so they are steps in the energy, and no force.

Source: A. Wang et al., Scientific Reports 11, 15496 (2021).
"""

from __future__ import annotations

import warnings
from functools import lru_cache
from typing import Any

from pymatgen.core import Composition, Lattice, Structure

from xenolith.crystal import Crystal

__all__ = ["MP2020_SCHEME", "correction_per_atom"]

MP2020_SCHEME = "MP2020-corrected GGA/GGA+U"
"""Name of the scheme that corrected energies are of."""

_OXYGEN, _SULPHUR = 8, 16
# Factor of the covalent O-O distances below which pymatgen calls two oxygens bound, in its corrections.
_OXIDE_CUTOFF = 1.05


def correction_per_atom(crystal: Crystal) -> float:
    """Return what the corrections add to the energy of a crystal, eV/atom; 0 for an element.

    The crystal is one that a calculator could evaluate: finite, with a volume and without two atoms on one
    point.

    Raises
    ------
    ValueError
        pymatgen has no correction for it; says why.
    """
    kinds = set(crystal.numbers.tolist())
    if len(kinds) == 1:
        return 0.0
    oxide, sulfide = "", ""
    if _OXYGEN in kinds or _SULPHUR in kinds:
        oxide, sulfide = _bonded(crystal)
    # The same for every cell of the crystal: guesses of oxidation states see the reduced formula.
    composition = Composition.from_dict(
        {f"{z}": count for z, count in _counts(crystal).items()}
    ).reduced_composition
    return _of_composition(composition.formula, oxide, sulfide)


def _counts(crystal: Crystal) -> dict[str, int]:
    from xenolith.elements import SYMBOLS

    counts: dict[str, int] = {}
    for z in sorted(crystal.numbers.tolist()):
        counts[SYMBOLS[z]] = counts.get(SYMBOLS[z], 0) + 1
    return counts


def _bonded(crystal: Crystal) -> tuple[str, str]:
    """How oxygen and sulphur are bound, in pymatgen's words; `none` is the sulphur of a sulphate."""
    from pymatgen.core.structure_analyzer import oxide_type, sulfide_type

    structure = Structure(Lattice(crystal.lattice), crystal.numbers.tolist(), crystal.frac_coords)
    oxide = str(oxide_type(structure, _OXIDE_CUTOFF)) if _OXYGEN in crystal.numbers else ""
    sulfide = ""
    if _SULPHUR in crystal.numbers:
        try:
            sulfide = sulfide_type(structure) or "none"
        except (IndexError, ValueError) as error:
            raise ValueError(f"pymatgen cannot tell how its sulphur is bound: {error}") from error
    return oxide, sulfide


@lru_cache(maxsize=100_000)
def _of_composition(formula: str, oxide: str, sulfide: str) -> float:
    from pymatgen.entries.computed_entries import ComputedEntry

    composition = Composition(formula)
    entry = ComputedEntry(
        composition,
        0.0,
        # Not a calculation of VASP: no POTCARs to compare.
        parameters={"run_type": "GGA+U", "hubbards": _hubbards(composition), "software": "none"},
        data={"oxide_type": oxide, "sulfide_type": sulfide},
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says when it cannot guess oxidation states, and what follows
        adjustments = _compatibility().get_adjustments(entry)
    return float(sum(adjustment.value for adjustment in adjustments)) / composition.num_atoms


@lru_cache(maxsize=1)
def _compatibility() -> Any:
    from pymatgen.entries.compatibility import MaterialsProject2020Compatibility

    return MaterialsProject2020Compatibility()


def _hubbards(composition: Composition) -> dict[str, float]:
    """The values of U that the Materials Project calculates with: by the most electronegative element."""
    ordered = sorted(composition.elements, key=lambda element: element.X)
    settings = _compatibility().u_settings.get(ordered[-1].symbol, {})
    return {e.symbol: float(settings[e.symbol]) for e in ordered if e.symbol in settings}
