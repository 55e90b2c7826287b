"""The manifest of a reference, and what its files are called."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from oracle_svc.known.reference.index import BadReferenceError

__all__ = ["AMD", "CRYSTALS", "FORMAT", "HULL", "MANIFEST", "PARTS", "STRUCTURES", "read_manifest"]

FORMAT = 2
"""References of format 1 have structures, energies, embeddings and hull, in two tables."""
_READS = (1, 2)
MANIFEST, STRUCTURES, HULL = "reference.json", "structures.parquet", "hull.parquet"
AMD, CRYSTALS = "amd.npy", "crystals.parquet"
PARTS = {"structures": STRUCTURES, "amd": AMD, "crystals": CRYSTALS, "hull": HULL}
"""File of each part, by its name in the manifest."""


def read_manifest(file: Path) -> dict[str, Any]:
    """Read a reference.json.

    Raises
    ------
    BadReferenceError
        If there is none, or it is not JSON or of another format.
    """
    if not file.exists():
        raise BadReferenceError(f"{file.parent} is no reference: it has no {MANIFEST}")
    try:
        info: dict[str, Any] = json.loads(file.read_text())
    except ValueError as error:
        raise BadReferenceError(f"{file} is not valid JSON: {error}") from error
    if info.get("format") not in _READS:
        raise BadReferenceError(
            f"{file} has format {info.get('format')}; this version of Xenolith reads {_READS[-1]}"
        )
    return info
