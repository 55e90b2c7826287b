"""Writing a reference folder."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from oracle_svc.calculators.base import Calculator
from oracle_svc.hull import HullEntry, composition_of
from oracle_svc.reference import FORMAT, HULL, MANIFEST, STRUCTURES
from oracle_svc.structures import StructureTable
from xenolith.bundle import sha256
from xenolith.formula import reduced_formula

__all__ = ["DataSource", "Known", "write_reference"]

_AMD_STEP = 0.0005
_EMBEDDING_LEVELS = 1024
_ID_DIGITS = 12


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
    amd: np.ndarray
    """(M, k) Angstrom."""
    energy_per_atom: np.ndarray
    """(M,) eV/atom."""
    embeddings: np.ndarray
    """(M, D)."""


def write_reference(
    folder: Path,
    *,
    known: Known,
    vertices: Sequence[HullEntry],
    num_entries: int,
    calculator: Calculator,
    source: DataSource,
    settings: Mapping[str, Any],
) -> dict[str, Any]:
    """Write a reference and return its manifest.

    Parameters
    ----------
    vertices
        Vertices of the hull.
    num_entries
        Structures that the hull was reduced from.
    settings
        Kept in the manifest; `amd_tolerance` (Angstrom) must be among them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    low, high = known.embeddings.min(axis=0), known.embeddings.max(axis=0)
    _write(folder / STRUCTURES, _structure_rows(known, low, high), ("amd", "embedding"))
    _write(folder / HULL, _hull_rows(vertices), ())
    structures, hull = sha256(folder / STRUCTURES), sha256(folder / HULL)
    info = {
        "format": FORMAT,
        "id": f"{source.name}-{structures[:_ID_DIGITS]}",
        "licence": source.licence,
        "attribution": source.attribution,
        "calculator": {
            "id": calculator.id,
            "version": calculator.version,
            "scheme": calculator.scheme,
            "settings_digest": calculator.settings_digest,
        },
        "structures": {"count": len(known.table), "sha256": structures},
        "hull": {
            "id": f"{calculator.id}-{source.hull_name}-{hull[:_ID_DIGITS]}",
            "sha256": hull,
            "vertices": len(vertices),
            "entries": num_entries,
            "elements": sorted({entry.system[0] for entry in vertices if len(entry.system) == 1}),
        },
        "amd": {"k": int(known.amd.shape[1]), "step": _AMD_STEP},
        "embedding": {
            "levels": _EMBEDDING_LEVELS,
            "minimum": [float(x) for x in low],
            "maximum": [float(x) for x in high],
        },
        "settings": dict(settings),
    }
    (folder / MANIFEST).write_text(json.dumps(info, indent=1) + "\n")
    return info


def _structure_rows(known: Known, low: np.ndarray, high: np.ndarray) -> pa.Table:
    crystals = list(known.table.batch)
    formulas = np.array([reduced_formula(crystal.numbers) for crystal in crystals])
    order = np.argsort(formulas, kind="stable")
    compositions = [composition_of(crystals[row].numbers) for row in order]
    steps = np.diff(np.round(known.amd[order] / _AMD_STEP), axis=1, prepend=0).astype(np.int32)
    span = np.where(high > low, high - low, 1)
    levels = np.round((known.embeddings[order] - low) / span * (_EMBEDDING_LEVELS - 1)).astype(np.int32)
    return pa.table(
        {
            "id": pa.array([known.table.ids[row] for row in order]),
            "formula": pa.array(formulas[order].tolist()),
            **_composition_columns(compositions),
            "energy_per_atom": pa.array(known.energy_per_atom[order].astype(np.float32)),
            "amd": _fixed_lists(steps),
            "embedding": _fixed_lists(levels),
        }
    )


def _hull_rows(vertices: Sequence[HullEntry]) -> pa.Table:
    ordered = sorted(vertices, key=lambda entry: (entry.composition, entry.id))
    return pa.table(
        {
            "id": pa.array([entry.id for entry in ordered]),
            **_composition_columns([entry.composition for entry in ordered]),
            "energy_per_atom": pa.array([entry.energy_per_atom for entry in ordered], pa.float64()),
        }
    )


def _composition_columns(compositions: Sequence[tuple[tuple[int, int], ...]]) -> dict[str, pa.Array]:
    return {
        "elements": pa.array([[z for z, _ in c] for c in compositions], pa.list_(pa.uint8())),
        "counts": pa.array([[n for _, n in c] for c in compositions], pa.list_(pa.uint16())),
    }


def _fixed_lists(matrix: np.ndarray) -> pa.Array:
    return pa.FixedSizeListArray.from_arrays(pa.array(matrix.ravel()), matrix.shape[1])


def _write(path: Path, rows: pa.Table, numeric: Sequence[str]) -> None:
    """Write with the bytes of the numeric columns split, which compresses them to two thirds."""
    encoding = {f"{name}.list.element": "BYTE_STREAM_SPLIT" for name in numeric}
    pq.write_table(
        rows,
        path,
        compression="zstd",
        compression_level=19,
        use_dictionary=False,
        column_encoding=encoding or None,
    )
