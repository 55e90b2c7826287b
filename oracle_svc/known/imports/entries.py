"""Files of computed entries, as pymatgen and the Materials Project write them (`ComputedEntry.as_dict`)."""

from __future__ import annotations

import gzip
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from oracle_svc.known.hull import HullEntry
from oracle_svc.known.imports.base import Imported, ImportedEnergies, composition_from
from xenolith.errors import InvalidArgumentError

__all__ = ["elemental_energies", "read_entries", "read_json"]


def read_entries(path: Path, *, scheme: str, name: str = "materials-project") -> Imported:
    """Read a JSON file (or .json.gz) of computed entries: a list, or a mapping whose values are entries.

    The energy of an entry is its `energy` with its `correction`, as pymatgen has it; structures are not
    looked at.

    Parameters
    ----------
    scheme
        Declared energy scheme, such as `MP2020-corrected GGA/GGA+U`.

    Raises
    ------
    InvalidArgumentError
        The file holds no entries.
    """
    energies = ImportedEnergies(id=name, scheme=scheme)
    entries, skipped = [], {}
    for position, thing in enumerate(_things(read_json(path), path)):
        label = _label(thing, position)
        try:
            entries.append(_entry(thing, label, f"{name}: {scheme}"))
        except (KeyError, TypeError, ValueError) as error:
            skipped[label] = f"{type(error).__name__}: {error}"
    if not entries:
        why = next(iter(skipped.values()), "it is empty")
        raise InvalidArgumentError(f"{path} holds no computed entries ({why})")
    return Imported(entries=tuple(entries), energies=energies, skipped=skipped)


def elemental_energies(path: Path) -> dict[int, float]:
    """Lowest energy per atom of each element, eV/atom, from a file of `read_entries`."""
    lowest: dict[int, float] = {}
    for entry in read_entries(path, scheme="elements").entries:
        if len(entry.system) == 1:
            z = entry.system[0]
            lowest[z] = min(entry.energy_per_atom, lowest.get(z, entry.energy_per_atom))
    if not lowest:
        raise InvalidArgumentError(f"{path} has no entry of a pure element")
    return lowest


def read_json(path: Path) -> Any:
    """Parse a JSON file, gzipped if its name says so.

    Raises
    ------
    InvalidArgumentError
        It is none.
    """
    try:
        content = path.read_bytes()
        return json.loads(gzip.decompress(content) if path.suffix == ".gz" else content)
    except (OSError, EOFError, ValueError) as error:
        raise InvalidArgumentError(f"{path} cannot be read as JSON: {error}") from error


def _things(data: Any, path: Path) -> Iterator[Mapping[str, Any]]:
    if isinstance(data, Mapping):
        data = data["entries"] if isinstance(data.get("entries"), list) else list(data.values())
    if not isinstance(data, list) or not all(isinstance(thing, Mapping) for thing in data):
        raise InvalidArgumentError(f"{path} is no list of computed entries")
    yield from data


def _label(thing: Mapping[str, Any], position: int) -> str:
    data = thing.get("data")
    material = data.get("material_id") if isinstance(data, Mapping) else None
    return str(thing.get("entry_id") or material or f"entry {position}")


def _entry(thing: Mapping[str, Any], label: str, scheme: str) -> HullEntry:
    amounts = {str(symbol): float(amount) for symbol, amount in thing["composition"].items()}
    energy = float(thing["energy"]) + float(thing.get("correction") or 0.0)
    per_atom = energy / sum(amounts.values())
    if not math.isfinite(per_atom):
        raise ValueError(f"its energy is {energy}")
    return HullEntry(id=label, composition=composition_from(amounts), energy_per_atom=per_atom, scheme=scheme)
