"""CIF text, cut into data blocks that are parsed one by one: a damaged one costs itself alone."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from xenolith.convert.reading.cif.cif2 import as_cif1
from xenolith.errors import ReadError
from xenolith.optional import require

__all__ = ["Block", "split_blocks"]

_HEADING = re.compile(r"\s*data_(\S*)", re.IGNORECASE)
_CELL = re.compile(r"\s*_cell[_.]length_a\b", re.IGNORECASE)
_OF_A_CRYSTAL = re.compile(
    r"\s*_(?:cell[_.](?:length|angle)|atom_site[_.](?:fract|label|type))", re.IGNORECASE
)
# The parser takes printable ASCII alone outside of quotes; what else there is stands in names of people.
_UNPRINTABLE = re.compile(r"[^\t\n\x20-\x7e]")
_WHERE = re.compile(r"^string:(\d+)(?::\d+\(\d+\))?(?: in data_\S*)?:\s*")


@dataclass(kw_only=True)
class Block:
    """Values of one data block by tag, in lower case and with `_` for `.`; unknown ones are empty."""

    name: str
    values: dict[str, list[str]] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    """Line of the file on which a tag stands."""
    conflicts: set[str] = field(default_factory=set)
    """Tags that stand there twice with different values."""
    notes: list[str] = field(default_factory=list)

    def column(self, *tags: str) -> list[str] | None:
        """Return the values of the first of `tags` that the block has.

        Raises
        ------
        ReadError
            It has two versions of them.
        """
        for tag in tags:
            if tag in self.conflicts:
                raise ReadError(f"line {self.lines[tag]}: {tag} is given twice, with different values")
            if tag in self.values:
                return self.values[tag]
        return None

    def value(self, *tags: str) -> str:
        """Return the one known value of the first of `tags` that has one; empty if none has."""
        for tag in tags:
            column = self.column(tag)
            if column and column[0]:
                return column[0]
        return ""

    @property
    def holds_crystal(self) -> bool:
        """Whether it says anything of a crystal; others hold authors, references and measurements."""
        return any(_OF_A_CRYSTAL.match(tag) for tag in self.values)


@dataclass(kw_only=True)
class _Piece:
    """Lines of one block."""

    name: str
    line: int
    """Of its heading, counted from 1."""
    lines: list[str] = field(default_factory=list)
    damage: str = ""
    notes: list[str] = field(default_factory=list)


def split_blocks(text: str) -> Iterator[tuple[str, Block | ReadError]]:
    """Yield name and content of every data block, or why it cannot be parsed, in the order of the file."""
    for piece in _pieces(as_cif1(text).split("\n")):
        if piece.damage:
            yield piece.name, ReadError(piece.damage)
            continue
        try:
            parsed = _parsed(piece)
        except ReadError as error:
            yield piece.name, error
            continue
        yield from ((block.name, block) for block in parsed)


def _pieces(lines: list[str]) -> list[_Piece]:
    before = _Piece(name="", line=1)
    pieces = [before]
    index, field_start, cells = 0, -1, 0
    while index < len(lines):
        line = lines[index]
        if field_start >= 0:
            closed = line.startswith(";")
            if (closed or index == len(lines) - 1) and (swallowed := _swallowed(lines, field_start, index)):
                # The field has lost its end and taken whole blocks in: it ends where the next one begins.
                del pieces[-1].lines[swallowed - index :]
                index, field_start = swallowed, -1
                continue
            if closed:
                field_start = -1
        elif line.startswith(";"):
            field_start = index
        elif heading := _heading(line):
            pieces.append(_Piece(name=heading[0], line=index + 1))
            if heading[1]:
                pieces[-1].notes.append(
                    f"line {index + 1}: {heading[1]!r} is taken as the heading of a block"
                )
                line = f"data_{heading[0]}"
            cells = 0
        elif _CELL.match(line):
            cells += 1
            if cells > 1:
                told = f"line {index + 1}: a second cell in one block, or the heading between them is damaged"
                pieces[-1].damage = pieces[-1].damage or told
                pieces.append(_Piece(name=pieces[-1].name, line=index + 1, damage=told))
        pieces[-1].lines.append(line)
        index += 1
    if any(_OF_A_CRYSTAL.match(line) for line in before.lines):
        before.damage = before.damage or "a crystal without the heading data_... of a block"
        return pieces
    return pieces[1:]


def _heading(line: str) -> tuple[str, str] | None:
    """Name of the block that a line begins, and the line where its heading has one wrong letter."""
    if found := _HEADING.match(line):
        return found[1], ""
    word = line.strip()
    if len(word) > 5 and " " not in word and word[0] not in "_#'\"" and word.lower() != "loop_":
        start = word[:5].lower()
        if sum(a != b for a, b in zip(start, "data_", strict=True)) == 1:
            return word[5:], word
    return None


def _swallowed(lines: list[str], start: int, end: int) -> int:
    """Line of a heading inside of a text field with a cell behind it; 0 if there is none."""
    heading = 0
    for index in range(start + 1, end):
        if not heading and _HEADING.match(lines[index]):
            heading = index
        elif heading and _CELL.match(lines[index]):
            return heading
    return 0


def _parsed(piece: _Piece) -> list[Block]:
    cif: Any = require("gemmi.cif", "pymatgen")
    text = _UNPRINTABLE.sub("~", "\n".join(piece.lines))
    if not text.endswith("\n"):
        text += "\n"
    try:
        document = cif.read_string(text, 0)
    except (ValueError, RuntimeError) as error:
        raise ReadError(_told(str(error), piece.line)) from error
    blocks = []
    for number, parsed in enumerate(document):
        block = Block(name=piece.name if number == 0 else parsed.name, notes=list(piece.notes))
        for item in parsed:
            if item.pair is not None:
                _take(block, item.pair[0], [cif.as_string(item.pair[1])], item.line_number + piece.line - 1)
            elif item.loop is not None:
                width, values = len(item.loop.tags), [cif.as_string(value) for value in item.loop.values]
                for column, tag in enumerate(item.loop.tags):
                    _take(block, tag, values[column::width], item.line_number + piece.line - 1)
        blocks.append(block)
    return blocks


def _take(block: Block, tag: str, values: list[str], line: int) -> None:
    tag = tag.lower().replace(".", "_")
    if tag in block.values and block.values[tag] != values:
        block.conflicts.add(tag)
    block.values[tag] = values
    block.lines[tag] = line


def _told(message: str, offset: int) -> str:
    """Parser's message with the line of the file; its own are counted from the block's heading."""
    found = _WHERE.match(message)
    if found is None:
        return f"is no valid CIF: {message}"
    return f"line {int(found[1]) + offset - 1}: {message[found.end() :]}"
