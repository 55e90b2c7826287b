"""One crystal from CIF text or from a pymatgen structure as JSON."""

from __future__ import annotations

import json
from typing import Any

from xenolith.convert.reading import Text, decode
from xenolith.convert.reading.cif import read_cif_blocks
from xenolith.convert.reading.json_structures import structure_of
from xenolith.crystal import Crystal
from xenolith.errors import DisorderedError, ReadError

__all__ = ["read_cif_text", "read_structure_json"]


def read_cif_text(text: str | None) -> tuple[Crystal, tuple[str, ...]]:
    """Return the crystal of CIF text, and notes of what was assumed in reading it.

    Raises
    ------
    DisorderedError
        Sites are shared or partly vacant.
    ReadError
        It holds no crystal, several, or cannot be understood.
    """
    if not text or not isinstance(text, str):
        raise ReadError("is empty")
    found = list(read_cif_blocks(Text(text=decode(text.encode("utf-8", errors="replace")).text)))
    if len(found) != 1:
        raise ReadError(f"is no readable CIF: holds {len(found)} crystals, expected one")
    crystal, problem = found[0].crystal, found[0].problem
    if isinstance(problem, DisorderedError):
        raise problem
    if crystal is None:
        raise ReadError(f"is no readable CIF: {problem}")
    return crystal, found[0].notes


def read_structure_json(value: str | dict[str, Any] | None) -> tuple[Crystal, tuple[str, ...]]:
    """Return the crystal of a pymatgen structure as JSON text or as a mapping, and notes.

    Raises
    ------
    DisorderedError
        Sites are shared or partly vacant.
    ReadError
        It is no structure.
    """
    if not value:
        raise ReadError("is empty")
    try:
        document = json.loads(value) if isinstance(value, str) else value
    except ValueError as error:
        raise ReadError(f"is no pymatgen structure: {error}") from error
    return structure_of(document)
