"""pymatgen's structures as JSON: one, a list, a mapping, or inside of entries and documents."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from xenolith.convert.pymatgen_structure import from_pymatgen, notes_of_pymatgen
from xenolith.convert.reading.content import Text
from xenolith.convert.reading.found import Found
from xenolith.crystal import Crystal
from xenolith.errors import CrystalError, ReadError
from xenolith.optional import require

__all__ = ["looks_like_structures", "read_json_text", "structure_of"]

_DEEPEST = 4
_MOLECULES = ("Molecule", "IMolecule")
_NAMES = ("material_id", "entry_id", "id")


def looks_like_structures(start: str) -> bool:
    """Tell from the beginning of JSON text whether pymatgen wrote structures there."""
    return '"lattice"' in start or ('"@class"' in start and "pymatgen" in start)


def read_json_text(text: Text, *, periodic: bool = False) -> Iterator[Found]:
    """Yield the structures of JSON text in order; with `periodic`, those too that say that they are not."""
    try:
        document = json.loads(text.text)
    except (ValueError, RecursionError) as error:
        yield Found(problem=ReadError(f"is no JSON: {error}"))
        return
    things = list(_things(document, "", 0))
    if not things:
        yield Found(problem=ReadError("holds no pymatgen structure"))
    for name, thing in things:
        try:
            crystal, notes = structure_of(thing, periodic=periodic)
        except (ReadError, CrystalError) as error:
            yield Found(name=name, problem=error)
            continue
        yield Found(name=name, crystal=crystal, notes=(*text.notes, *notes))


def structure_of(document: Mapping[str, Any], *, periodic: bool = False) -> tuple[Crystal, tuple[str, ...]]:
    """Return crystal and notes of `Structure.as_dict`.

    Raises
    ------
    DisorderedError
        Sites are shared or partly vacant.
    ReadError
        It is no structure.
    """
    if document.get("@class") in _MOLECULES:
        raise ReadError("is a molecule, which has no cell: a crystal needs one")
    core: Any = require("pymatgen.core", "pymatgen")
    try:
        structure = core.Structure.from_dict(document)
    except Exception as error:  # a reader of free text fails in any way there is
        told = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        raise ReadError(f"is no pymatgen structure: {told}") from error
    return from_pymatgen(structure, periodic=periodic), notes_of_pymatgen(structure)


def _things(document: Any, name: str, depth: int) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if depth > _DEEPEST:
        return
    if isinstance(document, Mapping):
        named = next((str(document[key]) for key in _NAMES if key in document), name)
        if "lattice" in document or document.get("@class") in ("Structure", *_MOLECULES):
            yield named, document
        elif isinstance(document.get("structure"), Mapping):
            yield from _things(document["structure"], named, depth + 1)
        else:
            for key, value in document.items():
                if isinstance(value, Mapping | list):
                    yield from _things(value, str(key), depth + 1)
    elif isinstance(document, list):
        for value in document:
            if isinstance(value, Mapping | list):
                yield from _things(value, name, depth + 1)
