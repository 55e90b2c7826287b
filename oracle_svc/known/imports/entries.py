"""Files of computed entries, as pymatgen and the Materials Project write them (`ComputedEntry.as_dict`)."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from oracle_svc.known.hull import HullEntry
from oracle_svc.known.imports.base import Imported, ImportedEnergies, Labels, composition_from
from oracle_svc.known.imports.functionals import (
    GGA,
    MIXED,
    R2SCAN,
    functional_of,
    is_corrected,
    is_mixed,
    needs_corrections,
)
from xenolith.convert.reading.content import decode, read_bytes
from xenolith.convert.reading.species import symbol_of
from xenolith.elements import SYMBOLS
from xenolith.errors import InvalidArgumentError, ReadError

_Found = tuple[Mapping[str, Any], HullEntry]
__all__ = ["elemental_energies", "read_entries", "read_json"]


def read_entries(
    path: Path, *, scheme: str, name: str = "materials-project", split: bool = False
) -> Imported:
    """Read a JSON file (or .json.gz) of computed entries: a list, or a mapping whose values are entries.

    The energy of an entry is its `energy` with its `correction`, as pymatgen has it; structures are not
    looked at. Entries of another functional than the scheme's never share its hull, and entries without
    corrections are not called corrected.

    Parameters
    ----------
    scheme
        Declared energy scheme, such as `MP2020-corrected GGA/GGA+U`.
    split
        Leave out the entries of other functionals, where else the file would be refused.

    Raises
    ------
    InvalidArgumentError
        The file holds no entries, or those of several functionals, or of another than the scheme's.
    """
    found: list[tuple[Mapping[str, Any], HullEntry]] = []
    skipped: dict[str, str] = {}
    labels = Labels()
    for position, thing in enumerate(_things(read_json(path), path)):
        label = labels.name(_label(thing), f"entry {position}")
        try:
            found.append((thing, _entry(thing, label)))
        except (KeyError, TypeError, ValueError) as error:
            skipped[label] = f"{type(error).__name__}: {error}"
    kept = _of_scheme(path, found, scheme, split, skipped)
    scheme, kept = _corrected(kept, scheme, skipped)
    if not kept:
        why = next(iter(skipped.values()), "it is empty")
        raise InvalidArgumentError(f"{path} holds no computed entries ({why})")
    entries = tuple(replace(entry, scheme=f"{name}: {scheme}") for _, entry in kept)
    energies = ImportedEnergies(id=name, scheme=scheme)
    return Imported(entries=entries, energies=energies, skipped=skipped, notes=labels.notes)


def _of_scheme(
    path: Path, found: list[_Found], scheme: str, split: bool, skipped: dict[str, str]
) -> list[_Found]:
    """Entries of the scheme's functional. What does not say its functional is taken at the user's word."""
    wanted = next((family for family in (MIXED, GGA, R2SCAN) if family in scheme), "")
    functionals = Counter(functional_of(thing) for thing, _ in found)
    if not wanted:
        if len(set(functionals) - {""}) > 1:
            told = ", ".join(f"{count} of {name}" for name, count in sorted(functionals.items()) if name)
            raise InvalidArgumentError(f"{path} holds entries of several functionals: {told}")
        return found
    if wanted == MIXED:
        several = {GGA, R2SCAN} <= set(functionals)
        if several and not any(is_mixed(thing) for thing, _ in found):
            raise InvalidArgumentError(
                f"{path} holds entries of {GGA} and {R2SCAN} to which the mixing scheme was not applied:"
                " apply MaterialsProjectDFTMixingScheme, or import one of them: --thermo-type and --split"
            )
        return found
    foreign = {name: count for name, count in functionals.items() if name not in ("", wanted)}
    if foreign and not split:
        told = ", ".join(f"{count} of {name}" for name, count in sorted(foreign.items()))
        own = functionals[wanted] + functionals[""]
        raise InvalidArgumentError(
            f"{path} holds {own} entries of {wanted} and {told}: energies of two sources never share a hull."
            f" Take those of {wanted} alone with --split, or name another --thermo-type"
        )
    for thing, entry in found:
        if functional_of(thing) in foreign:
            skipped[entry.id] = f"it was computed with {functional_of(thing)}, not {wanted}"
    return [(thing, entry) for thing, entry in found if functional_of(thing) not in foreign]


def _corrected(found: list[_Found], scheme: str, skipped: dict[str, str]) -> tuple[str, list[_Found]]:
    """The scheme that entries deserve to be called of, and those that are of it."""
    if not scheme.startswith("MP2020-corrected"):
        return scheme, found
    bare = {
        entry.id for thing, entry in found if needs_corrections(entry.composition) and not is_corrected(thing)
    }
    if not bare:
        return scheme, found
    if not any(is_corrected(thing) for thing, _ in found):
        return f"{GGA}, uncorrected", found
    skipped.update(dict.fromkeys(sorted(bare), "it lacks the corrections that other entries carry"))
    return scheme, [(thing, entry) for thing, entry in found if entry.id not in bare]


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
        return json.loads(decode(read_bytes(path)).text)
    except ReadError as error:
        raise InvalidArgumentError(f"{path} {error}") from error
    except ValueError as error:
        raise InvalidArgumentError(f"{path} cannot be read as JSON: {error}") from error


def _things(data: Any, path: Path) -> Iterator[Mapping[str, Any]]:
    if isinstance(data, Mapping):
        data = data["entries"] if isinstance(data.get("entries"), list) else list(data.values())
    if not isinstance(data, list) or not all(isinstance(thing, Mapping) for thing in data):
        raise InvalidArgumentError(f"{path} is no list of computed entries")
    yield from data


def _label(thing: Mapping[str, Any]) -> str:
    data = thing.get("data")
    material = data.get("material_id") if isinstance(data, Mapping) else None
    return str(thing.get("entry_id") or material or "")


def _entry(thing: Mapping[str, Any], label: str) -> HullEntry:
    amounts: dict[str, float] = {}
    for name, amount in thing["composition"].items():
        # Oxidation states, as in Li+ and O2-, are no part of a composition; deuterium is hydrogen.
        symbol = SYMBOLS[symbol_of(str(name)).candidates[0]]
        amounts[symbol] = amounts.get(symbol, 0.0) + float(amount)
    energy = float(thing["energy"]) + float(thing.get("correction") or 0.0)
    per_atom = energy / sum(amounts.values())
    if not math.isfinite(per_atom):
        raise ValueError(f"its energy is {energy}")
    return HullEntry(id=label, composition=composition_from(amounts), energy_per_atom=per_atom, scheme="")
