"""Every kind of file that is read, by name and by content, in one list."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from xenolith.convert.reading.ase_files import read_database, read_trajectory
from xenolith.convert.reading.cif import read_cif_blocks
from xenolith.convert.reading.content import COMPRESSED, decode, read_bytes
from xenolith.convert.reading.extxyz import read_extxyz_text
from xenolith.convert.reading.found import Found
from xenolith.convert.reading.json_structures import looks_like_structures, read_json_text
from xenolith.convert.reading.poscar import read_poscar_text
from xenolith.errors import ReadError

__all__ = ["KINDS", "Kind", "kind_of", "read_file"]

_LOOKED_AT = 65_536
"""Bytes from which a kind is told where the name does not say it."""
_FLOAT = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eEdD][+-]?\d+)?"
_THREE = rf"[ \t]*{_FLOAT}[ \t]+{_FLOAT}[ \t]+{_FLOAT}[^\n]*\n"
_POSCAR = re.compile(
    rf"[^\n]*\n[ \t]*{_FLOAT}(?:[ \t]+{_FLOAT}){{0,2}}[ \t]*\n{_THREE}{_THREE}{_THREE}"
    r"(?:[^\n]*\n)?[ \t]*\d+(?:[ \t]+\d+)*[ \t]*\n[ \t]*[sSdDcCkK]"
)


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of file."""

    name: str
    """For people."""
    suffixes: tuple[str, ...]
    """Endings of names, in lower case."""
    read: Callable[[bytes, bool], Iterator[Found]]
    """Yields the structures of a file's content; the flag takes atoms that are not periodic as crystals."""
    begins: Callable[[bytes, str], bool]
    """Tells the kind from the first bytes of a file and the text that they are."""
    names: re.Pattern[str] | None = None
    """Whole names that have no ending of their own, such as POSCAR_1."""
    needs_content: bool = False
    """Whether the name says too little: other files than structures have the same ending."""


def _extxyz_begins(text: str) -> bool:
    lines = [line for line in text.split("\n", 6) if line.strip()][:2]
    return len(lines) == 2 and lines[0].strip().isdigit() and "Lattice=" in lines[1]


KINDS: tuple[Kind, ...] = (
    Kind(
        name="CIF",
        suffixes=(".cif", ".mcif", ".cif2"),
        read=lambda content, _: read_cif_blocks(decode(content)),
        begins=lambda _, text: bool(
            re.search(r"^\s*data_", text, re.MULTILINE | re.IGNORECASE)
            and re.search(r"^\s*_cell[._]length_a\s", text, re.MULTILINE | re.IGNORECASE)
        ),
    ),
    Kind(
        name="extxyz",
        suffixes=(".extxyz", ".xyz", ".exyz"),
        read=lambda content, periodic: read_extxyz_text(decode(content), periodic=periodic),
        begins=lambda _, text: _extxyz_begins(text),
    ),
    Kind(
        name="pymatgen JSON",
        suffixes=(".json",),
        read=lambda content, periodic: read_json_text(decode(content), periodic=periodic),
        begins=lambda _, text: text.lstrip()[:1] in ("{", "[") and looks_like_structures(text),
        needs_content=True,
    ),
    Kind(
        name="ASE trajectory",
        suffixes=(".traj",),
        read=lambda content, periodic: read_trajectory(content, periodic=periodic),
        begins=lambda content, _: content.startswith(b"- of UlmASE-Trajectory"),
    ),
    Kind(
        name="ASE data base",
        suffixes=(".db",),
        read=lambda content, periodic: read_database(content, periodic=periodic),
        begins=lambda content, _: content.startswith(b"SQLite format 3\0") and b"systems" in content,
        needs_content=True,
    ),
    Kind(
        name="POSCAR",
        suffixes=(".vasp", ".poscar", ".contcar"),
        read=lambda content, _: read_poscar_text(decode(content)),
        begins=lambda _, text: bool(_POSCAR.match(text)),
        names=re.compile(r"(?:^(?:POSCAR|CONTCAR))|(?:[^A-Z](?:POSCAR|CONTCAR)(?![A-Z]))"),
    ),
)
"""All kinds, in the order in which contents are looked at."""


def kind_of(path: Path, *, named: bool = True) -> Kind | None:
    """Return the kind of a file, by its name, else by its content; None if it is none.

    Parameters
    ----------
    named
        Whether someone named this very file: then its ending alone is enough, for files too that may be
        something else.
    """
    name = _plain_name(path.name)
    for kind in KINDS:
        if name.endswith(kind.suffixes) and (named or not kind.needs_content or _begins(kind, path)):
            return kind
    if not name.endswith(tuple(suffix for kind in KINDS for suffix in kind.suffixes)):
        for kind in KINDS:
            if kind.names is not None and kind.names.search(name.upper()):
                return kind
        return next((kind for kind in KINDS if _begins(kind, path)), None)
    return None


def read_file(path: Path, *, periodic: bool = False) -> Iterator[Found]:
    """Yield the structures of a file in order, each readable or not.

    Raises
    ------
    ReadError
        The file as a whole cannot be opened, or is of no known kind.
    """
    content = read_bytes(path)
    kind = kind_of(path)
    if kind is None:
        names = ", ".join(kind.name for kind in KINDS)
        raise ReadError(f"is of no known kind; there are {names}")
    empty = True
    for found in kind.read(content, periodic):
        empty = False
        yield found
    if empty:
        raise ReadError("is empty" if not content.strip() else f"holds no structure ({kind.name})")


def _begins(kind: Kind, path: Path) -> bool:
    try:
        start = read_bytes(path, _LOOKED_AT)
        return kind.begins(start, decode(start).text)
    except ReadError:
        return False


def _plain_name(name: str) -> str:
    """Name in lower case without what compression, mail and browsers add to it."""
    name = name.lower()
    for ending in COMPRESSED:
        name = name.removesuffix(ending)
    return name.removesuffix(".txt").rstrip("_")
