"""CIF text with symmetry, whose operations are exact: its expansion is the crystal that was written."""

from typing import Any

import numpy as np

from xenolith.crystal import Crystal, Floats
from xenolith.elements import SYMBOLS
from xenolith.optional import require

__all__ = ["symmetric_cif"]

_ON_TOP = 0.05
"""Images of the idealised crystal are at one place within this, Angstrom; they are so within rounding."""
_DIGITS = 10


def symmetric_cif(crystal: Crystal, symprec: float) -> str | None:
    """Return CIF text of a conventional cell and its asymmetric unit, idealised within `symprec` (Angstrom).

    Operations are those of the tables for the setting that spglib finds, not those that it finds among
    the atoms: these hold within the tolerance alone, and translate special positions by odd fractions.

    Returns
    -------
    str or None
        None if spglib finds no symmetry, or none whose operations give the atoms back within `symprec`.
    """
    spglib: Any = require("spglib", "pymatgen")
    cell = (crystal.lattice, crystal.frac_coords, crystal.numbers)
    found = spglib.get_symmetry_dataset(cell, symprec=symprec)
    if found is None:
        return None
    operations = spglib.get_symmetry_from_database(found.hall_number)
    rotations, translations = np.asarray(operations["rotations"]), np.asarray(operations["translations"])
    lattice, positions = np.asarray(found.std_lattice), np.asarray(found.std_positions)
    numbers = np.asarray(found.std_types)
    if _moved(crystal, found) > symprec:
        return None
    orbits = _orbits(lattice, positions, numbers, rotations, translations)
    if orbits is None:
        return None
    lengths, angles = _parameters(lattice)
    rows = [
        f"  {SYMBOLS[numbers[first]]}  {SYMBOLS[numbers[first]]}{index}  {size}  "
        + "  ".join(f"{value:.{_DIGITS}f}" for value in positions[first] % 1.0)
        + "  1"
        for index, (first, size) in enumerate(orbits)
    ]
    counts = np.bincount(numbers)
    formula = " ".join(f"{SYMBOLS[z]}{counts[z]}" for z in dict.fromkeys(numbers.tolist()))
    units = int(np.gcd.reduce(counts[counts > 0]))
    return "\n".join(
        [
            f"data_{crystal.formula}",
            f"_symmetry_space_group_name_H-M   '{found.international}'",
            f"_symmetry_Int_Tables_number   {found.number}",
            f"_symmetry_space_group_name_Hall   {_quoted(found.hall)}",
            *(
                f"_cell_length_{axis}   {value:.{_DIGITS}f}"
                for axis, value in zip("abc", lengths, strict=True)
            ),
            *(
                f"_cell_angle_{name}   {value:.{_DIGITS}f}"
                for name, value in zip(("alpha", "beta", "gamma"), angles, strict=True)
            ),
            f"_cell_volume   {abs(np.linalg.det(lattice)):.{_DIGITS}f}",
            f"_cell_formula_units_Z   {units}",
            f"_chemical_formula_structural   {crystal.formula}",
            f"_chemical_formula_sum   '{formula}'",
            "loop_",
            " _symmetry_equiv_pos_site_id",
            " _symmetry_equiv_pos_as_xyz",
            *(
                f"  {n}  '{_triplet(r, t)}'"
                for n, (r, t) in enumerate(zip(rotations, translations, strict=True), 1)
            ),
            "loop_",
            " _atom_site_type_symbol",
            " _atom_site_label",
            " _atom_site_symmetry_multiplicity",
            " _atom_site_fract_x",
            " _atom_site_fract_y",
            " _atom_site_fract_z",
            " _atom_site_occupancy",
            *rows,
            "",
        ]
    )


def _moved(crystal: Crystal, found: Any) -> float:
    """How far idealising moves an atom, or changes a length of the cell, at most, Angstrom."""
    lattice, positions = np.asarray(found.std_lattice), np.asarray(found.std_positions)
    unfinished = np.linalg.inv(found.transformation_matrix).T @ crystal.lattice
    stretched = np.abs(_parameters(unfinished)[0] - _parameters(lattice)[0]).max()
    shift = (crystal.frac_coords @ found.transformation_matrix.T + found.origin_shift)[:, None] - positions[
        None
    ]
    shift -= np.round(shift)
    distance = np.linalg.norm(shift @ lattice, axis=-1)
    distance[crystal.numbers[:, None] != np.asarray(found.std_types)[None]] = np.inf
    return float(max(stretched, distance.min(axis=1).max()))


def _orbits(
    lattice: Floats, positions: Floats, numbers: Any, rotations: Any, translations: Any
) -> list[tuple[int, int]] | None:
    """First atom and size of each orbit; None if atoms meet, or are not mapped onto atoms."""
    apart = positions[:, None] - positions[None]
    apart -= np.round(apart)
    near = np.linalg.norm(apart @ lattice, axis=-1) < _ON_TOP
    if near.sum() > len(positions):  # overlapping atoms, which idealising has put at one place
        return None
    free = np.ones(len(positions), dtype=bool)
    orbits = []
    for first in range(len(positions)):
        if not free[first]:
            continue
        images = rotations @ positions[first] + translations
        shift = images[:, None] - positions[None]
        shift -= np.round(shift)
        distance = np.linalg.norm(shift @ lattice, axis=-1)
        distance[:, numbers != numbers[first]] = np.inf
        if (distance.min(axis=1) > _ON_TOP).any():
            return None
        members = np.unique(distance.argmin(axis=1))
        if not free[members].all():
            return None
        free[members] = False
        orbits.append((first, len(members)))
    return orbits


def _parameters(lattice: Floats) -> tuple[Floats, Floats]:
    lengths = np.linalg.norm(lattice, axis=1)
    cosines = [lattice[i] @ lattice[j] / (lengths[i] * lengths[j]) for i, j in ((1, 2), (0, 2), (0, 1))]
    return lengths, np.degrees(np.arccos(np.clip(cosines, -1, 1)))


def _triplet(rotation: Any, translation: Any) -> str:
    """An operation as text: translations are multiples of 1/24."""
    parts = []
    for row, shift in zip(rotation, translation, strict=True):
        terms = "".join(
            f"{'+' if factor > 0 else '-'}{axis}" for factor, axis in zip(row, "xyz", strict=True) if factor
        )
        twentyfourths = round(float(shift) * 24) % 24
        if twentyfourths:
            divisor = int(np.gcd(twentyfourths, 24))
            terms += f"+{twentyfourths // divisor}/{24 // divisor}"
        parts.append(terms.removeprefix("+"))
    return ", ".join(parts)


def _quoted(symbol: str) -> str:
    return f'"{symbol}"' if "'" in symbol else f"'{symbol}'"
