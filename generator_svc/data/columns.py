"""Which columns of a file hold what: named by the user under ``[data.columns]``, or known by common names."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from generator_svc.data.table import DataError

__all__ = ["Columns", "Layout", "layout_of"]

_KNOWN = {
    "id": ("material_id", "id", "mp_id", "name"),
    "split": ("split",),
    "lattice": ("lattice", "cell"),
    "numbers": ("numbers", "atomic_numbers", "species"),
    "frac_coords": ("frac", "frac_coords"),
    "positions": ("positions", "pos"),
    "cif": ("cif", "CIF"),
    "structure": ("structure",),
}


class Columns(BaseModel):
    """Names of a file's columns; those left out are looked for by their usual names."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str | None = None
    """Identifiers (material_id, id); row numbers where there are none."""
    split: str | None = None
    """Part of each crystal, such as train, val, test (split)."""
    lattice: str | None = None
    """Cells (lattice, cell): a, b, c, alpha, beta, gamma in Angstrom and degrees, or 3x3 row vectors."""
    numbers: str | None = None
    """Atomic numbers or element symbols (numbers, atomic_numbers, species)."""
    frac_coords: str | None = None
    """Fractional coordinates, flat or N x 3 (frac, frac_coords)."""
    positions: str | None = None
    """Cartesian coordinates in Angstrom in place of fractional ones (positions, pos)."""
    cif: str | None = None
    """CIF text in place of the four above (cif)."""
    structure: str | None = None
    """pymatgen structures as JSON, in place of all of these (structure)."""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The columns that a file's crystals are read from."""

    id: str | None
    split: str | None
    lattice: str | None = None
    numbers: str | None = None
    coords: str | None = None
    cartesian: bool = False
    text: str | None = None
    """CIF or JSON text, where the crystals are that."""
    is_cif: bool = False

    @property
    def used(self) -> set[str]:
        """Names of all of them."""
        names = (self.id, self.split, self.lattice, self.numbers, self.coords, self.text)
        return {name for name in names if name is not None}


def layout_of(path: Path, columns: Columns, there: Sequence[str]) -> Layout:
    """Find the columns to read.

    Raises
    ------
    DataError
        A column that was named is not there, or none hold crystals.
    """
    found = {key: _find(path, key, getattr(columns, key), there) for key in _KNOWN}
    id_, split = found["id"], found["split"]
    arrays = ("lattice", "numbers", "frac_coords", "positions")
    # What the user names goes before what is found by its name.
    named = [key for key in (*arrays, "cif", "structure") if getattr(columns, key) is not None]
    prefers_text = bool(named) and not set(named) & set(arrays)
    coords = found["positions"] if columns.positions else found["frac_coords"] or found["positions"]
    if found["lattice"] and found["numbers"] and coords and not prefers_text:
        return Layout(
            id=id_,
            split=split,
            lattice=found["lattice"],
            numbers=found["numbers"],
            coords=coords,
            cartesian=coords == found["positions"],
        )
    for key in ("structure", "cif") if columns.structure else ("cif", "structure"):
        if found[key] and not (named and prefers_text and key not in named):
            return Layout(id=id_, split=split, text=found[key], is_cif=key == "cif")
    missing = next(
        name
        for name, column in (("lattice", found["lattice"]), ("numbers", found["numbers"]), ("frac", coords))
        if not column
    )
    raise DataError(
        f"{path}: column {missing!r} is missing. Crystals need lattice, numbers and frac (or positions), or "
        f"cif, or structure; it has {list(there)}. Say which is which under [data.columns]"
    )


def _find(path: Path, key: str, named: str | None, there: Sequence[str]) -> str | None:
    if named is None:
        return next((name for name in _KNOWN[key] if name in there), None)
    if named not in there:
        close = difflib.get_close_matches(named, there, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"it has {list(there)}"
        raise DataError(f"{path}: data.columns.{key} is {named!r}, and there is no such column; {hint}")
    return named
