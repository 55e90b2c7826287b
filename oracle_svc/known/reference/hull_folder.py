"""The hull of one calculator in a folder of its own, for calculators that judge and never score.

A hull is a folder:

    hull.json       calculator, digests, counts, source, licence
    hull.parquet    the vertices of the hulls of all chemical systems

A reference folder (`reference`) will do too: it holds the hull of the calculator that it was built with.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from oracle_svc.calculators.base import Calculator
from oracle_svc.known.hull import Hull, HullEntry
from oracle_svc.known.reference.folder import BadReferenceError, Reference
from oracle_svc.known.reference.manifest import MANIFEST as REFERENCE_MANIFEST
from xenolith.bundle import sha256

__all__ = [
    "CalculatorHull",
    "find_hull",
    "hull_calculator",
    "hulls_folder",
    "read_hull",
    "with_hull",
    "write_hull",
]

_FORMAT = 1
_MANIFEST, _VERTICES = "hull.json", "hull.parquet"
_ID_DIGITS = 12


@dataclass(frozen=True, kw_only=True)
class CalculatorHull:
    """A hull, and the calculator whose energies made it."""

    id: str
    """Calculator, name and digest, such as `chgnet-r2scan-mp2024-0123456789ab`."""
    hull: Hull
    calculator_id: str
    calculator_digest: str
    """`settings_digest` of that calculator."""
    calculator: Mapping[str, Any]
    """What it says of itself: id, version, scheme, licence, elements, settings_digest."""


def hulls_folder() -> Path:
    """Where hulls that were built here are: `XENOLITH_HULLS`, else `xenolith/hulls` in the user's data."""
    if given := os.environ.get("XENOLITH_HULLS"):
        return Path(given)
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data) / "xenolith" / "hulls"


def find_hull(calculator: str, settings: Mapping[str, Any]) -> Path | None:
    """Return the hull of a calculator by name: one built here, else the one that ships; None without one.

    Only a calculator as it is by default has one: settings may change its energies.
    """
    if settings:
        return None
    shipped = Path(str(files("oracle_svc"))) / "hulls" / calculator
    built = hulls_folder() / calculator
    return next((folder for folder in (built, shipped) if (folder / _MANIFEST).is_file()), None)


def with_hull(reference: Reference, own: CalculatorHull | None) -> Reference:
    """Return a reference with the same known structures and another calculator's hull, or none.

    Embeddings of the reference's own calculator are left behind.
    """
    info = {name: value for name, value in reference.info.items() if name != "embedding"}
    info["calculator"] = None if own is None else dict(own.calculator)
    info["hull"] = None if own is None else {"id": own.id}
    other = Reference(reference.path, info)
    if own is not None:
        other.__dict__["hull"] = own.hull  # where its own property keeps what it has read
    return other


def read_hull(folder: Path) -> CalculatorHull:
    """Read the hull of a hull folder or of a reference folder.

    Raises
    ------
    BadReferenceError
        It is neither, or it does not have the digest that it should.
    """
    if (folder / REFERENCE_MANIFEST).exists():
        reference = Reference.read(folder)
        if reference.hull is None:
            raise BadReferenceError(f"the reference {folder} has no hull: see oracle_svc.known.build.hulls")
        return _made(reference.hull_id, reference.hull, reference.info["calculator"])
    manifest = folder / _MANIFEST
    if not manifest.exists():
        raise BadReferenceError(f"{folder} is no hull: it has neither {_MANIFEST} nor {REFERENCE_MANIFEST}")
    info = json.loads(manifest.read_text())
    if info.get("format") != _FORMAT:
        raise BadReferenceError(f"{manifest} has format {info.get('format')}; this version reads {_FORMAT}")
    if sha256(folder / _VERTICES) != info["hull"]["sha256"]:
        raise BadReferenceError(f"{folder / _VERTICES} does not have the digest that {_MANIFEST} gives")
    return _made(info["hull"]["id"], Hull(_entries(folder / _VERTICES)), info["calculator"])


def hull_calculator(folder: Path) -> dict[str, Any]:
    """Return what a hull's or a reference's calculator says of itself, and `hull_id`; reads no table.

    Raises
    ------
    BadReferenceError
        It is neither.
    """
    for name in (_MANIFEST, REFERENCE_MANIFEST):
        if (folder / name).exists():
            info = json.loads((folder / name).read_text())
            return {**info["calculator"], "hull_id": info["hull"]["id"]}
    raise BadReferenceError(f"{folder} is no hull: it has neither {_MANIFEST} nor {REFERENCE_MANIFEST}")


def write_hull(
    folder: Path,
    *,
    vertices: Sequence[HullEntry],
    calculator: Calculator,
    name: str,
    source: Mapping[str, Any],
) -> dict[str, Any]:
    """Write a hull folder and return its manifest.

    Parameters
    ----------
    vertices
        Vertices of the hull, elements included.
    name
        Short name of the entries, the middle of the hull's id.
    source
        Kept in the manifest: what the hull was made from, licence and attribution of the data.
    """
    folder.mkdir(parents=True, exist_ok=True)
    ordered = sorted(vertices, key=lambda entry: (entry.composition, entry.id))
    rows = pa.table(
        {
            "id": pa.array([entry.id for entry in ordered]),
            "elements": pa.array([[z for z, _ in e.composition] for e in ordered], pa.list_(pa.uint8())),
            "counts": pa.array([[n for _, n in e.composition] for e in ordered], pa.list_(pa.uint16())),
            "energy_per_atom": pa.array([entry.energy_per_atom for entry in ordered], pa.float64()),
        }
    )
    pq.write_table(rows, folder / _VERTICES, compression="zstd", compression_level=19, use_dictionary=False)
    digest = sha256(folder / _VERTICES)
    info = {
        "format": _FORMAT,
        "calculator": {
            "id": calculator.id,
            "version": calculator.version,
            "scheme": calculator.scheme,
            "licence": calculator.licence,
            "elements": sorted(calculator.elements),
            "settings_digest": calculator.settings_digest,
        },
        "hull": {
            "id": f"{calculator.id}-{name}-{digest[:_ID_DIGITS]}",
            "sha256": digest,
            "vertices": len(ordered),
            "elements": sorted({entry.system[0] for entry in ordered if len(entry.system) == 1}),
        },
        "source": dict(source),
    }
    (folder / _MANIFEST).write_text(json.dumps(info) + "\n")
    return info


def _made(name: str, hull: Hull, calculator: Mapping[str, Any]) -> CalculatorHull:
    return CalculatorHull(
        id=name,
        hull=hull,
        calculator_id=str(calculator["id"]),
        calculator_digest=str(calculator["settings_digest"]),
        calculator=calculator,
    )


def _entries(path: Path) -> Iterator[HullEntry]:
    table = pq.read_table(path)
    columns = [table[name].to_pylist() for name in ("id", "elements", "counts", "energy_per_atom")]
    for name, elements, counts, energy in zip(*columns, strict=True):
        composition = tuple(zip(elements, counts, strict=True))
        yield HullEntry(id=name, composition=composition, energy_per_atom=energy)
