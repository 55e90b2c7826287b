"""VASP's POSCAR and CONTCAR: one crystal, of which what stands behind the positions is no part."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from xenolith.convert.reading.content import Text
from xenolith.convert.reading.found import Found
from xenolith.convert.reading.numbers import number
from xenolith.convert.reading.species import symbol_of
from xenolith.crystal import Crystal, Floats
from xenolith.elements import SYMBOLS
from xenolith.errors import CrystalError, ReadError

__all__ = ["read_poscar_text"]

_FLAG = re.compile(r"\.?(?:t|f|true|false)\.?", re.IGNORECASE)
_POTENTIAL = re.compile(r"([A-Za-z]{1,2})(?:[_/.].*)?")
_NUMBERED = re.compile(r"([A-Za-z]{1,2})\d+")
_MOST_ATOMS = 1_000_000


@dataclass(kw_only=True)
class _Lines:
    """Lines of the file with a place in them."""

    lines: Sequence[str]
    place: int = 0

    def take(self, what: str) -> list[str]:
        """Return the words of the next line, without a remark."""
        if self.place >= len(self.lines):
            raise ReadError(f"ends before {what}")
        self.place += 1
        return re.split(r"[!#]", self.lines[self.place - 1])[0].split()

    def wrong(self, message: str) -> ReadError:
        """Return the error that the line taken last is wrong."""
        return ReadError(f"line {self.place}: {message}")


def read_poscar_text(text: Text) -> Iterator[Found]:
    """Yield the crystal of POSCAR text, or why there is none."""
    try:
        crystal, notes = _crystal(_Lines(lines=text.text.split("\n")))
    except (ReadError, CrystalError) as error:
        yield Found(problem=error)
        return
    yield Found(crystal=crystal, notes=(*text.notes, *notes))


def _crystal(lines: _Lines) -> tuple[Crystal, list[str]]:
    notes: list[str] = []
    comment = " ".join(lines.take("its comment"))
    scale = _numbers(lines, lines.take("the scale"), (1, 3))
    cell = np.array([_numbers(lines, lines.take("the cell")[:3], (3,)) for _ in range(3)])
    factors = _factors(lines, cell, scale)
    words = lines.take("the elements")
    names = None
    if words and not all(word.isdigit() for word in words):
        names, words = words, lines.take("the numbers of atoms")
    counts = _counts(lines, words)
    if names is not None and len(names) != len(counts):
        raise lines.wrong(f"{len(names)} elements and {len(counts)} numbers of atoms")
    mode = lines.take("Direct or Cartesian")
    if mode and mode[0][0] in "sS":  # selective dynamics
        mode = lines.take("Direct or Cartesian")
    if len(mode) >= 3 and all(_is_number(word) for word in mode[:3]):
        raise lines.wrong("says neither Direct nor Cartesian before the positions")
    first = mode[0][0].lower() if mode else ""
    if first not in ("d", "c", "k"):
        notes.append(f"line {lines.place}: {' '.join(mode)!r} is read as Direct, as VASP does")
    begin = lines.place
    positions, labels = _positions(lines, sum(counts))
    numbers = _elements(names, counts, comment, labels, notes, begin)
    lattice = cell * factors
    if first in ("c", "k"):
        positions = np.asarray(np.linalg.solve(lattice.T, (positions * factors).T).T, dtype=np.float64)
    return Crystal(lattice=lattice, numbers=np.array(numbers, dtype=np.int32), frac_coords=positions), notes


def _factors(lines: _Lines, cell: Floats, scale: list[float]) -> Floats:
    """Factors of x, y and z, cell and positions alike; a single negative scale is the volume."""
    volume = abs(float(np.linalg.det(cell)))
    if not volume > 0:
        raise lines.wrong("the cell has no volume")
    if scale[0] == 0 or (len(scale) == 3 and min(scale) <= 0):
        raise ReadError(f"line 2: a scale of {min(scale):g} gives no cell")
    if len(scale) == 3:
        return np.array(scale)
    return np.full(3, scale[0] if scale[0] > 0 else (-scale[0] / volume) ** (1 / 3))


def _counts(lines: _Lines, words: list[str]) -> list[int]:
    # VASP stops at the first word that is no number.
    known = []
    for word in words:
        if not word.isdigit():
            break
        known.append(int(word))
    if not known or not sum(known):
        raise lines.wrong(f"{' '.join(words)!r} are no numbers of atoms")
    if sum(known) > _MOST_ATOMS:
        raise lines.wrong(f"{sum(known)} atoms are more than can be read")
    return known


def _positions(lines: _Lines, count: int) -> tuple[Floats, list[str]]:
    positions, labels = [], []
    for atom in range(count):
        words = lines.take(f"the position of atom {atom + 1} of {count}")
        positions.append(_numbers(lines, words[:3], (3,)))
        rest = words[3:]
        if len(rest) >= 3 and all(_FLAG.fullmatch(word) for word in rest[:3]):
            rest = rest[3:]
        # A single T or F more is no label of fluorine or tritium: some programs write flags behind all.
        labels.append(rest[0] if rest and not _FLAG.fullmatch(rest[0]) else "")
    if lines.place < len(lines.lines):
        words = lines.lines[lines.place].split()
        if len(words) >= 3 and all(_is_number(word) for word in words[:3]):
            raise ReadError(
                f"line {lines.place + 1}: a position more than the {count} atoms that are counted"
            )
    return np.array(positions), labels


def _elements(
    names: list[str] | None, counts: list[int], comment: str, labels: list[str], notes: list[str], begin: int
) -> list[int]:
    """Atomic number of each atom; labels behind the positions may not contradict the line of elements."""
    told = [_labelled(label) for label in labels]
    if names is not None:
        kinds = [_kind(name, notes) for name in names]
    elif all(told):
        notes.append("no line of elements (VASP 4): they are taken from the labels behind the positions")
        return [z for z in told if z is not None]
    else:
        kinds = _kinds_of_comment(comment, counts)
        notes.append(f"no line of elements (VASP 4): they are taken from the comment {comment!r}")
    numbers = [z for z, count in zip(kinds, counts, strict=True) for _ in range(count)]
    for atom, (z, label) in enumerate(zip(numbers, told, strict=True)):
        if label is not None and label != z:
            raise ReadError(
                f"line {begin + atom + 1}: label {labels[atom]} on an atom that is counted as {SYMBOLS[z]}"
            )
    return numbers


def _kind(name: str, notes: list[str]) -> int:
    """Atomic number of a name on the line of elements: a symbol, a potential as in Mg_pv/6f00df, a label."""
    try:
        plain = _POTENTIAL.fullmatch(name) or _NUMBERED.fullmatch(name)
        species = symbol_of(plain[1] if plain else name)
    except ValueError as error:
        raise ReadError(f"line 6: {name!r} is no element") from error
    symbol = SYMBOLS[species.candidates[0]]
    if species.note or name != symbol:
        notes.append(species.note or f"{name!r} is taken as {symbol}")
    return species.candidates[0]


def _kinds_of_comment(comment: str, counts: list[int]) -> list[int]:
    words = comment.split()
    try:
        kinds = [symbol_of(word).candidates[0] for word in words]
    except ValueError:
        kinds = []
    if len(kinds) != len(counts) or any(SYMBOLS[z] != word for z, word in zip(kinds, words, strict=True)):
        raise ReadError("has no line of elements before the numbers of atoms (VASP 4)")
    return kinds


def _labelled(label: str) -> int | None:
    found = _NUMBERED.fullmatch(label)
    try:
        return symbol_of(found[1] if found else label).candidates[0] if label else None
    except ValueError:
        return None


def _numbers(lines: _Lines, words: list[str], lengths: tuple[int, ...]) -> list[float]:
    if len(lengths) > 1:
        # The line of the scale may have a remark behind it.
        words = words[:3] if len(words) >= 3 and all(_is_number(word) for word in words[:3]) else words[:1]
    if len(words) not in lengths:
        raise lines.wrong(f"{' '.join(words)!r} are not {lengths[-1]} numbers")
    try:
        return [number(word) for word in words]
    except ValueError as error:
        raise lines.wrong(str(error)) from error


def _is_number(word: str) -> bool:
    try:
        number(word)
    except ValueError:
        return False
    return True
