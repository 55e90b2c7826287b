"""Sites of a data block: element, position, occupancy; what is missing or contradicts itself is refused."""

from dataclasses import dataclass

from xenolith.convert.reading.cif.blocks import Block
from xenolith.convert.reading.cif.stated import stated_formula
from xenolith.convert.reading.numbers import number, number_with_uncertainty, unit_of
from xenolith.convert.reading.species import labelled, symbol_of
from xenolith.elements import SYMBOLS
from xenolith.errors import ReadError

__all__ = ["Site", "sites_of"]

_AXES = ("x", "y", "z")
_ROUNDED = 1e-3
"""An occupancy this close to 1 is 1."""
_REFINED = 0.01 + 1e-9
"""Refinements end a little above 1."""


@dataclass(frozen=True, kw_only=True)
class Site:
    """One line of the list of atoms."""

    label: str
    number: int
    """Atomic number."""
    position: tuple[float, float, float]
    """Fractional."""
    occupancy: float
    multiplicity: int
    """How many of it the cell holds, as far as it is said; else 0."""
    unit: float
    """Unit of the last digit of its finest coordinate, 1e-4 for `0.3333 0.25 0`; 0 if all are whole."""


def sites_of(block: Block) -> tuple[list[Site], list[str], bool]:
    """Return the sites of a block, notes, and whether alternatives of a disordered crystal are among them.

    Raises
    ------
    ReadError
        A site lacks its position or its element, has no sane occupancy, or hydrogens have no position.
    """
    columns = [block.column(f"_atom_site_fract_{axis}") for axis in _AXES]
    labels = block.column("_atom_site_label", "_atom_site_id") or []
    symbols = block.column("_atom_site_type_symbol")
    if any(column is None for column in columns):
        if block.column("_atom_site_cartn_x", "_atom_site_cartn_x_esd") is not None:
            raise ReadError(
                "gives Cartesian coordinates alone; a CIF needs fractional ones, _atom_site_fract_x"
            )
        raise ReadError("has no fractional coordinates of atoms, _atom_site_fract_x, _y and _z")
    length = len(columns[0] or [])
    if not length:
        raise ReadError("lists no atoms")
    rows = [list(column or []) for column in columns]
    if not labels and symbols is None:
        raise ReadError("says of no atom what it is: _atom_site_type_symbol")
    labels = labels or [f"{symbol}{row + 1}" for row, symbol in enumerate(symbols or [])]
    if any(len(column) != length for column in (*rows, labels, symbols or labels)):
        raise ReadError("lists positions and names of different numbers of atoms")
    notes: list[str] = []
    kept = [row for row in range(length) if not _dummy(block, row)]
    if len(kept) < length:
        notes.append("dummy atoms are left out: " + _names(labels, set(range(length)) - set(kept)))
    _expect_hydrogens(block, labels)
    numbers = _numbers(block, labels, symbols, kept, notes)
    occupancies = _occupancies(block, labels, notes)
    multiplicities = block.column("_atom_site_symmetry_multiplicity", "_atom_site_site_symmetry_multiplicity")
    sites = []
    for row, z in zip(kept, numbers, strict=True):
        texts = [column[row] for column in rows]
        sites.append(
            Site(
                label=labels[row],
                number=z,
                position=_position(labels[row], texts, notes),
                occupancy=occupancies[row],
                multiplicity=_whole(multiplicities, row),
                unit=min((unit for text in texts if (unit := unit_of(text))), default=0.0),
            )
        )
    return sites, list(dict.fromkeys(notes)), _has_alternatives(block)


def _dummy(block: Block, row: int) -> bool:
    flags = block.column("_atom_site_calc_flag")
    return flags is not None and row < len(flags) and flags[row].lower() == "dum"


def _expect_hydrogens(block: Block, labels: list[str]) -> None:
    attached = block.column("_atom_site_attached_hydrogens") or []
    for label, count in zip(labels, attached, strict=False):
        if count and count != "0":
            raise ReadError(f"{label} carries {count} hydrogens that have no position")


def _numbers(
    block: Block, labels: list[str], symbols: list[str] | None, kept: list[int], notes: list[str]
) -> list[int]:
    """Atomic numbers, of the symbols where there are some, else of the labels and the formula."""
    formula = stated_formula(block)
    numbers = []
    for row in kept:
        text = symbols[row] if symbols is not None and symbols[row] else ""
        try:
            species = symbol_of(text) if text else labelled(labels[row])
        except ValueError as error:
            raise ReadError(f"site {labels[row]}: {error}") from error
        candidates = species.candidates
        if len(candidates) > 1 and formula is not None:
            candidates = tuple(z for z in candidates if z in formula.counts)
        if len(candidates) != 1:
            names = " or ".join(SYMBOLS[z] for z in species.candidates)
            raise ReadError(f"label {labels[row]} may mean {names}: _atom_site_type_symbol has to say which")
        numbers.append(candidates[0])
        if len(species.candidates) > 1:
            notes.append(f"label {labels[row]} is taken as {SYMBOLS[candidates[0]]}, which the formula has")
        elif species.note:
            notes.append(species.note)
    return numbers


def _occupancies(block: Block, labels: list[str], notes: list[str]) -> list[float]:
    column = block.column("_atom_site_occupancy")
    if column is None:
        return [1.0] * len(labels)
    if len(column) != len(labels):
        raise ReadError("lists occupancies of another number of atoms")
    unknown = {row for row, text in enumerate(column) if not text}
    if unknown:
        notes.append(f"occupancy not given, taken as 1: {_names(labels, unknown)}")
    return [
        1.0 if row in unknown else _occupancy(labels[row], text, notes) for row, text in enumerate(column)
    ]


def _occupancy(label: str, text: str, notes: list[str]) -> float:
    try:
        value, uncertainty = number_with_uncertainty(text)
    except ValueError as error:
        raise ReadError(f"site {label}: its occupancy {error}") from error
    if value <= 0:
        raise ReadError(f"site {label} has an occupancy of {text}: is the atom there or not?")
    if value == 1:
        return 1.0
    if -max(_ROUNDED, uncertainty) <= value - 1 <= _REFINED:
        notes.append(f"occupancy {text} of {label} is taken as 1")
        return 1.0
    if value > 1:
        raise ReadError(f"site {label} has an occupancy of {text}, more than 1")
    return value


def _position(label: str, texts: list[str], notes: list[str]) -> tuple[float, float, float]:
    values = []
    for axis, text in zip(_AXES, texts, strict=True):
        if not text:
            raise ReadError(f"site {label} has no position: its {axis} is not given")
        try:
            values.append(number(text))
        except ValueError as error:
            raise ReadError(f"site {label}: its {axis} {error}") from error
        if "/" in text:
            notes.append("coordinates written as fractions, such as 1/2, are read as numbers")
    return values[0], values[1], values[2]


def _whole(column: list[str] | None, row: int) -> int:
    text = column[row] if column is not None and row < len(column) else ""
    return int(text) if text.isdigit() else 0


def _has_alternatives(block: Block) -> bool:
    """Whether sites belong to different groups of a disordered crystal, which exclude each other."""
    groups = block.column("_atom_site_disorder_group") or []
    return len({group for group in groups if group and group != "0"}) > 1


def _names(labels: list[str], rows: set[int]) -> str:
    names = [labels[row] for row in sorted(rows)]
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
