"""Reading files and folders: one item per structure, one typed problem per unreadable file."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from xenolith.convert.cif import read_cif
from xenolith.convert.extxyz import read_extxyz
from xenolith.convert.item import Item
from xenolith.convert.poscar import read_poscar
from xenolith.crystal import Crystal
from xenolith.errors import CrystalError, ReadError

__all__ = ["is_structure_file", "read_path", "read_paths"]


def _one(read: Callable[[Path], Crystal]) -> Callable[[Path], list[Crystal]]:
    return lambda path: [read(path)]


_BY_SUFFIX: dict[str, Callable[[Path], list[Crystal]]] = {
    ".cif": read_cif,
    ".mcif": read_cif,
    ".extxyz": read_extxyz,
    ".xyz": read_extxyz,
    ".vasp": _one(read_poscar),
    ".poscar": _one(read_poscar),
}
_BY_START: dict[str, Callable[[Path], list[Crystal]]] = {
    "POSCAR": _one(read_poscar),
    "CONTCAR": _one(read_poscar),
}


def read_paths(paths: Iterable[str | Path]) -> list[Item]:
    """Read files and folders, in order; see `read_path`."""
    return [item for path in paths for item in read_path(path)]


def read_path(path: str | Path) -> Iterator[Item]:
    """Yield the structures of a file, or of all structure files below a folder in alphabetical order.

    CIF, extxyz and POSCAR are known by their names. Whatever cannot be read yields an item with a problem.
    """
    path = Path(path).expanduser()
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file() and _reader(file))
        if not files:
            yield Item(source=str(path), problem=ReadError(f"{path} holds no CIF, extxyz or POSCAR file"))
        for file in files:
            yield from _read_file(file)
    else:
        yield from _read_file(path)


def is_structure_file(path: Path) -> bool:
    """Tell by its name whether a file is read: CIF, extxyz or POSCAR."""
    return _reader(path) is not None


def _read_file(path: Path) -> Iterator[Item]:
    try:
        crystals = _parsed(path)
    except (ReadError, CrystalError) as error:
        yield Item(source=str(path), problem=error)
        return
    for index, crystal in enumerate(crystals):
        yield Item(source=str(path) if len(crystals) == 1 else f"{path}#{index}", crystal=crystal)


def _parsed(path: Path) -> list[Crystal]:
    if not path.exists():
        raise ReadError(f"{path} does not exist")
    reader = _reader(path)
    if reader is None:
        raise ReadError(f"{path} is of no known kind; name it .cif, .extxyz, .vasp or POSCAR")
    return reader(path)


def _reader(path: Path) -> Callable[[Path], list[Crystal]] | None:
    by_suffix = _BY_SUFFIX.get(path.suffix.lower())
    return by_suffix or next(
        (r for start, r in _BY_START.items() if path.name.upper().startswith(start)), None
    )
