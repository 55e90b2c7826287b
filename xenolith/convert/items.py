"""Crystals out of anything a user has in hand: one item each, readable or not."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from xenolith.convert.ase_atoms import from_ase, notes_of_ase
from xenolith.convert.files import read_path
from xenolith.convert.item import Item, Items
from xenolith.convert.pymatgen_structure import from_pymatgen, notes_of_pymatgen
from xenolith.crystal import Crystal, CrystalBatch
from xenolith.errors import CrystalError, InvalidArgumentError, ReadError

__all__ = ["as_batch", "as_crystal", "as_items"]


if TYPE_CHECKING:
    from ase import Atoms
    from pymatgen.core import Structure

    CrystalLike = Crystal | Structure | Atoms | Mapping[str, Any]
    CrystalsLike = CrystalBatch | CrystalLike | str | Path | Iterable[CrystalLike | str | Path | Item]


def as_crystal(thing: "CrystalLike", *, periodic: bool = False) -> Crystal:
    """Return the crystal of a `Crystal`, pymatgen structure, ASE atoms, or mapping with its three fields.

    Parameters
    ----------
    periodic
        Take structures and atoms too that say that they are not periodic (``pbc``).

    Raises
    ------
    CrystalError
        If arrays do not fit together.
    DisorderedError
        If a site is shared or partly vacant.
    InvalidArgumentError
        If it is none of these.
    """
    if isinstance(thing, Crystal):
        return thing
    if isinstance(thing, Mapping):
        return _from_mapping(thing)
    # By the names of their attributes: the libraries are not imported to ask.
    if hasattr(thing, "is_ordered") and hasattr(thing, "lattice"):
        return from_pymatgen(cast("Structure", thing), periodic=periodic)
    if hasattr(thing, "get_scaled_positions"):
        return from_ase(thing, periodic=periodic)
    raise InvalidArgumentError(
        f"{type(thing).__name__} is not a crystal: give a Crystal, a Structure, Atoms or a path"
    )


def as_items(things: "CrystalsLike", *, periodic: bool = False) -> Items:
    """Return one item per structure of anything that holds structures; paths and folders are read.

    A structure that cannot be read, or whose arrays do not fit together, is an item with a problem. Files of
    folders that are of no known kind are listed under ``ignored``.

    Parameters
    ----------
    periodic
        Take atoms too that say that they are not periodic (``pbc``); a note says so.

    Raises
    ------
    InvalidArgumentError
        If something in it holds no structure at all.
    NotFoundError
        If a path does not exist.
    """
    if isinstance(things, Items):
        return things
    if isinstance(things, CrystalBatch):
        return Items(Item(source=str(index), crystal=crystal) for index, crystal in enumerate(things))
    if _is_single(things):
        things = [things]  # type: ignore[list-item]
    items = Items()
    for thing in things:  # type: ignore[union-attr]
        expanded = _expanded(thing, len(items), periodic)
        items.extend(expanded)
        items.ignored += expanded.ignored
    return items


def as_batch(things: "CrystalsLike", *, periodic: bool = False) -> CrystalBatch:
    """Return the crystals of anything that holds structures as one batch; see `as_items`.

    Raises
    ------
    ReadError, CrystalError
        The first problem there is; `as_items` keeps going instead.
    """
    if isinstance(things, CrystalBatch):
        return things
    crystals = []
    for item in as_items(things, periodic=periodic):
        if item.problem is not None or item.crystal is None:
            raise item.problem or ReadError(f"{item.source} holds no structure")
        crystals.append(item.crystal)
    return CrystalBatch.from_crystals(crystals)


def _is_single(things: Any) -> bool:
    # pymatgen structures and ASE atoms can be iterated too, over their atoms.
    return (
        isinstance(things, Crystal | str | Path | Mapping)
        or hasattr(things, "cell")
        or hasattr(things, "lattice")
    )


def _expanded(thing: Any, index: int, periodic: bool) -> Items:
    if isinstance(thing, Item):
        return Items([thing])
    if isinstance(thing, str | Path):
        return read_path(thing, periodic=periodic)
    try:
        item = Item(source=str(index), crystal=as_crystal(thing, periodic=periodic), notes=_notes(thing))
    except (CrystalError, ReadError) as error:
        item = Item(source=str(index), problem=error)
    return Items([item])


def _notes(thing: Any) -> tuple[str, ...]:
    if hasattr(thing, "is_ordered"):
        return notes_of_pymatgen(thing)
    return notes_of_ase(thing) if hasattr(thing, "get_scaled_positions") else ()


def _from_mapping(thing: Mapping[str, Any]) -> Crystal:
    wanted = {"lattice", "numbers", "frac_coords"}
    if missing := wanted - set(thing):
        raise CrystalError(f"the mapping has no {', '.join(sorted(missing))}", field=min(missing))
    return Crystal(lattice=thing["lattice"], numbers=thing["numbers"], frac_coords=thing["frac_coords"])
