"""Extended XYZ: frames read one by one, so that a damaged one costs itself alone."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from xenolith.convert.periodicity import expect_periodic
from xenolith.convert.reading.content import Text
from xenolith.convert.reading.found import Found
from xenolith.convert.reading.numbers import number
from xenolith.convert.reading.species import symbol_of
from xenolith.crystal import Crystal, Floats
from xenolith.elements import SYMBOLS
from xenolith.errors import CrystalError, ReadError
from xenolith.optional import require

__all__ = ["read_extxyz_text"]

# A name may hold colons in pairs, as metatensor writes them: mtt::shift:R:1.
_PROPERTY = re.compile(r"((?:[^:]|::)+?):([RILS]):(\d+)(?::|$)")
_ATOM = re.compile(r"\s*[A-Za-z]{1,2}[^\s=]*(?:\s+[^\s=]+){3}")
_COUNT = re.compile(r"\s*\d+\s*")
_LABEL = re.compile(r"([A-Za-z]{1,2})\d+")
_RESERVED = frozenset({"Lattice", "Properties", "pbc"})


@dataclass(frozen=True, kw_only=True)
class _Frame:
    """Lines of one frame."""

    line: int
    """Of the number of atoms, counted from 1."""
    comment: str = ""
    atoms: Sequence[str] = ()
    damage: str = ""


def read_extxyz_text(text: Text, *, periodic: bool = False) -> Iterator[Found]:
    """Yield the frames of extxyz text in order; with `periodic`, those too that say that they are not."""
    for frame in _frames(text.text.split("\n")):
        try:
            if frame.damage:
                raise ReadError(frame.damage)
            crystal, labels, notes = _crystal(frame, periodic)
        except (ReadError, CrystalError) as error:
            yield Found(problem=error)
            continue
        name = next((str(labels[key]) for key in ("material_id", "id") if key in labels), "")
        yield Found(crystal=crystal, labels=labels, notes=(*text.notes, *notes), name=name)


def _frames(lines: Sequence[str]) -> Iterator[_Frame]:
    """Cut at the numbers of atoms; where one does not lead to the next frame, the next is looked for."""
    place = 0
    while place < len(lines):
        if not lines[place].strip():
            place += 1
            continue
        start = place
        if _COUNT.fullmatch(lines[start]):
            end = start + 2 + int(lines[start])
            if end <= len(lines) and _is_whole(lines, start, end):
                damage = "" if int(lines[start]) else "holds no atoms"
                yield _Frame(
                    line=start + 1, comment=lines[start + 1], atoms=lines[start + 2 : end], damage=damage
                )
                place = end
                continue
            told = f"line {start + 1}: the frame does not have the {int(lines[start])} atoms that it counts"
        else:
            told = f"line {start + 1}: no number of atoms, where a frame begins"
        place = next((p for p in range(start + 1, len(lines)) if _begins(lines, p)), len(lines))
        yield _Frame(line=start + 1, damage=told)


def _is_whole(lines: Sequence[str], start: int, end: int) -> bool:
    """Whether a frame may be what is between two lines: no other begins in it, and no atom is behind it."""
    if end < len(lines) and _ATOM.match(lines[end]):
        return False
    return not any(_begins(lines, place) for place in range(start + 1, end))


def _begins(lines: Sequence[str], place: int) -> bool:
    following = lines[place + 1] if place + 1 < len(lines) else ""
    return bool(_COUNT.fullmatch(lines[place])) and "=" in following


def _crystal(frame: _Frame, periodic: bool) -> tuple[Crystal, dict[str, Any], list[str]]:
    ase: Any = require("ase.io.extxyz", "ase")
    try:
        values = ase.key_val_str_to_dict(frame.comment)
    except Exception as error:  # a parser of free text fails in any way there is
        raise ReadError(f"line {frame.line + 1}: {' '.join(str(error).split())}") from error
    notes: list[str] = []
    lattice = _lattice(frame, values)
    numbers, positions = _atoms(frame, str(values.get("Properties", "species:S:1:pos:R:3")), notes)
    if note := expect_periodic(_flags(frame, values.get("pbc", True)), periodic):
        notes.append(note)
    try:
        frac = np.asarray(np.linalg.solve(lattice.T, positions.T).T, dtype=np.float64)
    except np.linalg.LinAlgError as error:
        raise ReadError(f"line {frame.line + 1}: the cell has no volume") from error
    labels = {key: value for key, value in values.items() if key not in _RESERVED}
    return (
        Crystal(lattice=lattice, numbers=np.array(numbers, dtype=np.int32), frac_coords=frac),
        labels,
        notes,
    )


def _lattice(frame: _Frame, values: dict[str, Any]) -> Floats:
    given = values.get("Lattice")
    if given is None:
        raise ReadError('has no cell; a crystal needs Lattice="..." on its second line')
    try:
        cell = np.array(given, dtype=float)
    except (TypeError, ValueError):
        cell = np.array([])
    # ASE hands nine numbers over as a matrix with the vectors in columns.
    if cell.shape != (3, 3) or not np.isfinite(cell).all():
        raise ReadError(f"line {frame.line + 1}: Lattice is not nine numbers")
    if not cell.any():
        raise ReadError('has no cell; a crystal needs Lattice="..." on its second line')
    return cell.T


def _flags(frame: _Frame, given: Any) -> tuple[bool, bool, bool]:
    flags = np.atleast_1d(np.array(given))
    flags = np.repeat(flags, 3) if flags.shape == (1,) else flags
    if flags.shape != (3,) or flags.dtype.kind not in "bi":
        raise ReadError(f"line {frame.line + 1}: pbc is not three of T and F")
    return bool(flags[0]), bool(flags[1]), bool(flags[2])


def _atoms(frame: _Frame, properties: str, notes: list[str]) -> tuple[list[int], Floats]:
    columns: dict[str, tuple[int, int]] = {}
    width, place = 0, 0
    for found in _PROPERTY.finditer(properties):
        if found.start() != place:
            break
        columns[found[1]] = (width, int(found[3]))
        width, place = width + int(found[3]), found.end()
    species, position = (
        columns.get("species") or columns.get("Z") or columns.get("numbers"),
        columns.get("pos"),
    )
    if place != len(properties) or species is None or position is None or position[1] != 3:
        raise ReadError(f"line {frame.line + 1}: Properties has no species and pos of three numbers")
    numbers, positions = [], []
    for offset, line in enumerate(frame.atoms):
        words, where = line.split(), f"line {frame.line + 2 + offset}"
        if len(words) < width:
            raise ReadError(f"{where}: {len(words)} values, Properties has {width}")
        numbers.append(_number(words[species[0]], where, notes))
        try:
            positions.append([number(word) for word in words[position[0] : position[0] + 3]])
        except ValueError as error:
            raise ReadError(f"{where}: {error}") from error
    return numbers, np.array(positions, dtype=float).reshape(-1, 3)


def _number(word: str, where: str, notes: list[str]) -> int:
    if word.isdigit():
        return int(word)
    if word in _KNOWN:
        return _KNOWN[word]
    try:
        found = _LABEL.fullmatch(word)
        species = symbol_of(found[1] if found else word)
    except ValueError as error:
        raise ReadError(f"{where}: {error}") from error
    told = species.note or f"{word!r} is taken as {SYMBOLS[species.candidates[0]]}"
    if told not in notes:
        notes.append(told)
    return species.candidates[0]


_KNOWN = {symbol: number for number, symbol in enumerate(SYMBOLS) if symbol}
