"""Files and folders: one item per structure, readable or not; no file goes without a word."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from xenolith.convert.item import Item, Items
from xenolith.convert.reading import Found, kind_of, read_file
from xenolith.errors import CrystalError, NotFoundError, ReadError

__all__ = ["FolderListing", "is_structure_file", "list_folder", "read_path", "read_paths"]

KNOWN = "CIF, POSCAR, extxyz, pymatgen JSON or ASE file"


@dataclass(frozen=True, kw_only=True)
class FolderListing:
    """Every file below a folder but the hidden ones, in alphabetical order."""

    structures: list[Path]
    """Files that are read."""
    ignored: list[Path]
    """Files of no known kind."""


def list_folder(path: Path) -> FolderListing:
    """Return which files of a folder are read, and which are of no known kind."""
    listing = FolderListing(structures=[], ignored=[])
    for file in sorted(path.rglob("*")):
        if file.is_file() and not any(part.startswith(".") for part in file.relative_to(path).parts):
            (listing.structures if is_structure_file(file) else listing.ignored).append(file)
    return listing


def read_paths(paths: Iterable[str | Path], *, periodic: bool = False) -> Items:
    """Read files and folders, in order; see `read_path`."""
    items = Items()
    for path in paths:
        items.extend(_items(Path(path).expanduser(), periodic, items))
    return items


def read_path(path: str | Path, *, periodic: bool = False) -> Items:
    """Return the structures of a file, or of all structure files below a folder in alphabetical order.

    Kinds are told by name, and by content where the name does not say it. Whatever cannot be read is an item
    with a problem; files of a folder that are of no known kind are listed under ``ignored``.

    Parameters
    ----------
    periodic
        Take atoms too that say that they are not periodic (``pbc``); a note says so.

    Raises
    ------
    NotFoundError
        There is no such path.
    """
    return read_paths([path], periodic=periodic)


def is_structure_file(path: Path) -> bool:
    """Tell whether a file is read: by its name, or by its content where the name does not say it."""
    return kind_of(path, named=False) is not None


def _items(path: Path, periodic: bool, into: Items) -> Iterator[Item]:
    if not path.exists():
        raise NotFoundError(f"there is no file or folder {path}")
    if not path.is_dir():
        yield from _of_file(path, periodic)
        return
    listing = list_folder(path)
    into.ignored += tuple(str(file) for file in listing.ignored)
    if not listing.structures:
        yield Item(source=str(path), problem=ReadError(f"{path} holds no {KNOWN}"))
    for file in listing.structures:
        yield from _of_file(file, periodic)


def _of_file(path: Path, periodic: bool) -> Iterator[Item]:
    try:
        finds = list(read_file(path, periodic=periodic))
    except ReadError as error:
        finds = [Found(problem=error)]
    for index, found in enumerate(finds):
        source = str(path) if len(finds) == 1 else f"{path}#{index}"
        yield Item(
            source=source,
            crystal=found.crystal,
            problem=None if found.problem is None else _about(source, found.problem),
            notes=found.notes,
            name=found.name,
            labels=dict(found.labels),
        )


def _about(source: str, problem: ReadError | CrystalError) -> ReadError | CrystalError:
    """The same problem with the structure's source before it."""
    told = f"{source}: {' '.join(problem.message.split())}"
    if isinstance(problem, CrystalError):
        return CrystalError(told, field=problem.field)
    return type(problem)(told)
