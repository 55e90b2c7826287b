"""Which operations a data block means: those that it lists, or those of its symbols."""

import warnings
from dataclasses import dataclass, field
from typing import Any

from xenolith.convert.reading.cif.blocks import Block
from xenolith.convert.reading.cif.operations import Operations, from_triplets
from xenolith.convert.reading.cif.settings import Setting, by_hall, by_name, by_number
from xenolith.crystal import Floats
from xenolith.errors import ReadError
from xenolith.optional import require

__all__ = ["Candidate", "Symmetry", "symmetry_of"]

_LISTED = (
    "_space_group_symop_operation_xyz",
    "_symmetry_equiv_pos_as_xyz",
    "_space_group_symop_magn_operation_xyz",
    "_space_group_symop_magn_operation_xyz_",
    "_space_group_symop_operation_xyz_alt",
)
_CENTRED = ("_space_group_symop_magn_centering_xyz", "_space_group_symop_magn_ssg_centering_algebraic")
_HALL = ("_space_group_name_hall", "_symmetry_space_group_name_hall")
_NAMES = (
    "_space_group_name_h-m_alt",
    "_symmetry_space_group_name_h-m",
    "_space_group_name_h-m_full",
    "_space_group_name_h-m",
    "_symmetry_space_group_name_h-m_alt",
    "_space_group_name_h-m_ref",
    "_space_group_name_schoenflies",
)
_NUMBERS = ("_space_group_it_number", "_symmetry_int_tables_number")


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One reading of the symmetry."""

    operations: Operations
    note: str = ""
    """What has to be told if it is taken."""


@dataclass(frozen=True, kw_only=True)
class Symmetry:
    """All readings, the likeliest first."""

    candidates: list[Candidate]
    statement: str
    """What the block says, for messages."""
    is_open: bool = False
    """Whether the block leaves open which of them it means, such as one of two origins."""
    needs_evidence: bool = False
    """Whether the first counts only if the rest of the block supports it."""
    notes: list[str] = field(default_factory=list)


def symmetry_of(block: Block, lattice: Floats) -> Symmetry:
    """Return the readings of a block's symmetry that its cell allows.

    Raises
    ------
    ReadError
        Operations or symbols cannot be understood, or do not fit the cell.
    """
    notes = _magnetic_notes(block)
    listed = _listed(block)
    stated, statement, agree, unknown = _stated(block)
    if stated and listed is None:
        notes += [f"{one} is not known and not used" for one in unknown]
    if listed is None and not statement:
        note = "no symmetry is given: the atoms are taken as listed, in P 1"
        return Symmetry(
            candidates=[Candidate(operations=from_triplets([]), note=note)], statement="", notes=notes
        )
    if listed is None and not stated:
        raise ReadError(f"{statement} is no space group that is known, and no operations are listed")
    fitting = [setting for setting in stated if setting.operations.fits(lattice)]
    if listed is None:
        if not fitting:
            raise ReadError(f"the cell has not the symmetry that {statement} names")
        return _of_symbols(fitting, statement, agree, notes)
    if not listed.fits(lattice):
        raise ReadError("the cell has not the symmetry of the operations that are listed")
    if not statement or any(setting.operations.keys() == listed.keys() for setting in stated):
        return Symmetry(candidates=[Candidate(operations=listed)], statement=statement, notes=notes)
    if not stated:
        note = f"{statement} is no space group that is known; the operations that are listed are used"
        return Symmetry(
            candidates=[Candidate(operations=listed, note=note)], statement=statement, notes=notes
        )
    return _of_both(listed, fitting, stated, statement, notes)


def _of_symbols(fitting: list[Setting], statement: str, agree: bool, notes: list[str]) -> Symmetry:
    """Readings of symbols alone. Where axes are not named, the usual ones that the cell allows are meant."""
    if agree:
        fitting = [setting for setting in fitting if setting.axes == fitting[0].axes]
    several = len(fitting) > 1
    candidates = [
        Candidate(
            operations=setting.operations,
            note=f"{statement} is read as {setting.name}, which the atoms support" if several else "",
        )
        for setting in fitting
    ]
    if not agree:
        notes = [*notes, f"what it says of its symmetry does not agree: {statement}"]
    return Symmetry(
        candidates=candidates, statement=statement, is_open=several, needs_evidence=not agree, notes=notes
    )


def _of_both(
    listed: Operations, fitting: list[Setting], stated: list[Setting], statement: str, notes: list[str]
) -> Symmetry:
    """Readings of operations beside another symbol: the operations, unless they are the identity alone."""
    count = len(listed)
    # The same group in another setting; with more operations, as of a centred cell, it is another cell.
    in_other_setting = any(len(setting.operations) == count for setting in stated)
    if in_other_setting and stated[0].number == _number_of(listed):
        return Symmetry(candidates=[Candidate(operations=listed)], statement=statement, notes=notes)
    as_listed = Candidate(
        operations=listed,
        note=f"the {count} operations that are listed are used; they are not those of {statement}",
    )
    named = [
        Candidate(
            operations=setting.operations,
            note=f"the operations of {statement} are used; the {count} that are listed are not those",
        )
        for setting in fitting
        if setting.axes == fitting[0].axes
    ]
    order = [*named, as_listed] if listed.trivial else [as_listed, *named]
    return Symmetry(candidates=order, statement=f"{statement} beside {count} operations", notes=notes)


def _number_of(operations: Operations) -> int:
    """Number of the group of operations; 0 if they are none."""
    spglib: Any = require("spglib", "pymatgen")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about its own errors
            found = spglib.get_spacegroup_type_from_symmetry(
                operations.rotations.astype("intc"), operations.translations, symprec=1e-3
            )
    except Exception:  # noqa: BLE001  # spglib raises its own errors, or gives None, depending on its version
        return 0
    return 0 if found is None else int(found.number)


def _listed(block: Block) -> Operations | None:
    triplets = [text for text in block.column(*_LISTED) or [] if text]
    if not triplets:
        return None
    try:
        operations = from_triplets(triplets)
        centring = [text for text in block.column(*_CENTRED) or [] if text]
        return operations if not centring else operations.times(from_triplets(centring))
    except ValueError as error:
        raise ReadError(f"its symmetry operations: {error}") from error


def _stated(block: Block) -> tuple[list[Setting], str, bool, list[str]]:
    """Settings that symbols and number name, how these are written, whether they agree, what is unknown."""
    found: list[list[Setting]] = []
    statements: list[str] = []
    if hall := block.value(*_HALL):
        setting = by_hall(hall)
        statements.append(f"Hall symbol {hall!r}")
        found.append([setting] if setting else [])
    names = list(dict.fromkeys(value for tag in _NAMES if (value := block.value(tag))))
    for name in names:
        statements.append(f"space group {name!r}")
        found.append(list(by_name(name)))
    if number := block.value(*_NUMBERS):
        statements.append(f"number {number}")
        found.append(by_number(int(number)) if number.isdigit() else [])
    known = [settings for settings in found if settings]
    if not known:
        return [], " and ".join(statements), True, statements
    unknown = [one for one, settings in zip(statements, found, strict=True) if not settings]
    numbers = {settings[0].number for settings in known}
    if len(numbers) > 1:
        every = [setting for settings in known for setting in settings]
        return list(dict.fromkeys(every)), " and ".join(statements), False, unknown
    # The first says most: a Hall symbol names the origin, a Hermann-Mauguin symbol the axes.
    first = next(one for one, settings in zip(statements, found, strict=True) if settings)
    return known[0], first, True, unknown


def _magnetic_notes(block: Block) -> list[str]:
    magnetic = any(
        tag.startswith(("_atom_site_moment", "_space_group_magn", "_space_group_symop_magn"))
        for tag in block.values
    )
    return ["magnetic symmetry and moments are ignored"] if magnetic else []
