"""Writing a reference folder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from oracle_svc.known.hull import HullEntry, composition_of
from oracle_svc.known.novelty.amd_store import AmdStore
from oracle_svc.known.reference.crystal_columns import write_crystals
from oracle_svc.known.reference.manifest import AMD, CRYSTALS, FORMAT, HULL, MANIFEST, STRUCTURES
from oracle_svc.known.reference.parquet_tables import (
    composition_columns,
    embedding_column,
    fixed_lists,
    hull_rows,
    write_table,
)
from oracle_svc.known.reference.structures import StructureTable
from xenolith.bundle import sha256

__all__ = ["DataSource", "EnergySource", "Known", "write_reference"]

_ID_DIGITS = 12
_MAPPED_FROM = 100_000
"""Structures from which AMD vectors go to a file of their own, which is mapped and not read."""
_FORMAT_1 = {
    "format", "id", "licence", "attribution", "calculator", "structures", "hull", "amd", "embedding",
    "settings",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class DataSource:
    """Where structures come from."""

    name: str
    """Short name, the first part of the reference's id."""
    hull_name: str
    """Short name of the entries of the hull."""
    licence: str
    """SPDX id, such as `CC-BY-4.0`."""
    attribution: str
    """Whom to name."""


@dataclass(frozen=True, kw_only=True)
class Known:
    """Known structures and what was computed of them."""

    table: StructureTable
    amd: NDArray[np.float64]
    """(M, k) Angstrom."""
    energy_per_atom: NDArray[np.float64] | None = None
    """(M,) eV/atom; None where no energies were computed."""
    embeddings: NDArray[np.float32] | None = None
    """(M, D), likewise."""


class EnergySource(Protocol):
    """Where energies come from: a calculator, or a data base."""

    @property
    def id(self) -> str:
        """Model and parameters, or name of the data base."""
        ...

    @property
    def version(self) -> str:
        """Version of the software or data."""
        ...

    @property
    def scheme(self) -> str:
        """Declared energy scheme."""
        ...

    @property
    def settings_digest(self) -> str:
        """Digest of everything that changes the numbers; empty for a data base."""
        ...


def write_reference(
    folder: Path,
    *,
    known: Known | None,
    vertices: Sequence[HullEntry],
    num_entries: int,
    calculator: EnergySource | None,
    source: DataSource,
    settings: Mapping[str, Any],
    keep_structures: bool = False,
    imported: bool = False,
) -> dict[str, Any]:
    """Write a reference and return its manifest. It appears whole or not at all.

    Parameters
    ----------
    known
        Known structures; None for a hull alone.
    vertices
        Vertices of the hull; none for known structures alone.
    num_entries
        Structures that the hull was reduced from.
    calculator
        Where the energies come from; None if there are none.
    settings
        Kept in the manifest; `amd_tolerance` (Angstrom) must be among them.
    keep_structures
        Keep the structures themselves, for comparisons by StructureMatcher.
    imported
        The hull's energies are declared to be of a scheme, and serve every calculator of that scheme.

    Raises
    ------
    ValueError
        There is neither a known structure nor a hull, or the folder holds something else.
    """
    if not vertices and (known is None or not len(known.table)):
        raise ValueError("a reference needs known structures or a hull")
    if folder.exists() and any(folder.iterdir()) and not (folder / MANIFEST).exists():
        raise ValueError(f"{folder} holds something else: name a new folder")
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    info: dict[str, Any] = {
        "format": FORMAT,
        "id": "",
        "licence": source.licence,
        "attribution": source.attribution,
        "calculator": _described(calculator),
    }
    if known is not None and len(known.table):
        info |= _write_known(partial, known, keep_structures=keep_structures)
    if vertices and calculator is not None:
        info["hull"] = _write_hull(partial, vertices, num_entries, calculator.id, source, imported=imported)
    info["settings"] = dict(settings)
    part = info.get("structures") or info["hull"]
    info["id"] = f"{source.name}-{part['sha256'][:_ID_DIGITS]}"
    if set(info) == _FORMAT_1 and "sha256" not in info["amd"] and "embedding" in info and not imported:
        info["format"] = 1  # older versions read it
    (partial / MANIFEST).write_text(json.dumps(info, indent=1) + "\n")
    shutil.rmtree(folder, ignore_errors=True)
    partial.replace(folder)
    return info


def _described(calculator: EnergySource | None) -> dict[str, str] | None:
    if calculator is None:
        return None
    return {name: getattr(calculator, name) for name in ("id", "version", "scheme", "settings_digest")}


def _write_known(folder: Path, known: Known, *, keep_structures: bool) -> dict[str, Any]:
    """Write what is known of structures; return its part of the manifest."""
    crystals = known.table.batch
    formulas = np.array([crystal.formula for crystal in crystals], dtype=str)
    order = np.argsort(formulas, kind="stable")
    compositions = [composition_of(crystals[row].numbers) for row in order]
    columns: dict[str, pa.Array] = {
        "id": pa.array([known.table.ids[row] for row in order]),
        "formula": pa.array(formulas[order].tolist()),
        **composition_columns(compositions),
    }
    info: dict[str, Any] = {}
    if known.energy_per_atom is not None:
        columns["energy_per_atom"] = pa.array(known.energy_per_atom[order].astype(np.float32))
    packed = AmdStore.pack(known.amd[order])
    amd: dict[str, Any] = {"k": int(known.amd.shape[1]), "step": packed.step}
    if len(order) > _MAPPED_FROM:
        packed.save(folder / AMD)
        amd["sha256"] = sha256(folder / AMD)
    else:
        steps = np.diff(packed.steps.astype(np.int32), axis=1, prepend=0)
        columns["amd"] = fixed_lists(steps)
    if known.embeddings is not None and known.embeddings.shape[1]:
        columns["embedding"], info["embedding"] = embedding_column(known.embeddings[order])
    numeric = [name for name in ("amd", "embedding") if name in columns]
    write_table(folder / STRUCTURES, pa.table(columns), numeric, level=9 if len(order) > _MAPPED_FROM else 19)
    info["structures"] = {"count": len(order), "sha256": sha256(folder / STRUCTURES)}
    info["amd"] = amd
    if keep_structures:
        write_crystals(folder / CRYSTALS, crystals.take(order))
        info["crystals"] = {"sha256": sha256(folder / CRYSTALS)}
    return info


def _write_hull(
    folder: Path,
    vertices: Sequence[HullEntry],
    num_entries: int,
    calculator_id: str,
    source: DataSource,
    *,
    imported: bool,
) -> dict[str, Any]:
    """Write the hull; return its part of the manifest."""
    write_table(folder / HULL, hull_rows(vertices), ())
    digest = sha256(folder / HULL)
    part = {
        "id": f"{calculator_id}-{source.hull_name}-{digest[:_ID_DIGITS]}",
        "sha256": digest,
        "vertices": len(vertices),
        "entries": num_entries,
        "elements": sorted({entry.system[0] for entry in vertices if len(entry.system) == 1}),
    }
    return {**part, "imported": True} if imported else part
