"""A user's own reference: structures from files, on request energies and the hull that follows from them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oracle_svc.calculators.base import Calculator
from oracle_svc.crystals.amd import DEFAULT_TOLERANCE
from oracle_svc.crystals.elements import element_name
from oracle_svc.known.build.energies import compute_energies
from oracle_svc.known.build.sources import Gathered, Progress, gather
from oracle_svc.known.hull import HullEntry, composition_of, covered, reduce_to_vertices
from oracle_svc.known.reference.folder import Reference  # ours, not the built-in
from oracle_svc.known.reference.manifest import MANIFEST
from oracle_svc.known.reference.structures import StructureTable
from oracle_svc.known.reference.write import DataSource, EnergySource, Known, write_reference
from oracle_svc.status import Status
from xenolith.errors import FailedPreconditionError, InvalidArgumentError

__all__ = ["BuiltReference", "FilesPlan", "build_from_files"]

SKIPPED, NOTES = "skipped.json", "notes.json"


@dataclass(frozen=True, kw_only=True)
class FilesPlan:
    """Sources and options of a reference that is built from files."""

    paths: tuple[Path, ...]
    """Files and folders of known structures."""
    out: Path
    """Folder of the finished reference; it appears when all is done."""
    work: Path
    """Folder for what a stopped build goes on from."""
    source: DataSource
    amd_tolerance: float = DEFAULT_TOLERANCE
    """AMD distance of the same crystal, Angstrom."""
    keep_structures: bool = True
    hull_extra: tuple[Path, ...] = ()
    """Files of further structures that take part in the hull only, such as elements; needs a calculator."""
    periodic: bool = False
    """Take atoms too that say that they are not periodic, as if they were."""
    hull: Path | None = None
    """A reference whose hull is taken over, or extended by the structures' energies."""
    overwrite: bool = False


@dataclass(frozen=True, kw_only=True)
class BuiltReference:
    """Result of building a reference."""

    info: dict[str, Any]
    """The manifest."""
    skipped: Mapping[str, str]
    """Reason by file or structure that was left out."""
    notes: Mapping[str, list[str]] = field(default_factory=dict)
    """What was assumed, merged, corrected or ignored in reading, by structure."""
    uncovered: Mapping[str, int] = field(default_factory=dict)
    """Compounds left out of the hull by the element that has no phase of its own."""


def build_from_files(
    plan: FilesPlan, calculator: Calculator | None, *, progress: Progress | None = None
) -> BuiltReference:
    """Build a reference from files.

    Parameters
    ----------
    calculator
        Computes energies, and embeddings if it has some; None for structures alone.

    Raises
    ------
    InvalidArgumentError
        Nothing can be read, or the folder is taken.
    FailedPreconditionError
        A hull of another calculator or scheme was to be extended; names both.
    """
    if (plan.out / MANIFEST).exists() and not plan.overwrite:
        raise InvalidArgumentError(f"{plan.out} is a reference already: name another folder, or --overwrite")
    if plan.hull_extra and calculator is None:
        raise InvalidArgumentError("structures for the hull need a calculator of their energies: --energies")
    given = None if plan.hull is None else Reference.read(plan.hull)
    source = _energy_source(given, calculator)
    files = plan.work / "files"
    gathered = gather(plan.paths, files, periodic=plan.periodic, progress=progress)
    if not gathered.ids:
        reasons = "; ".join(f"{name}: {why}" for name, why in list(gathered.skipped.items())[:3])
        raise InvalidArgumentError(f"no structure could be read: {reasons}")
    entries = list(given.hull.entries()) if given is not None and given.hull is not None else []
    known, own = _known(gathered, calculator, plan, progress)
    entries += own
    for number, path in enumerate(plan.hull_extra):
        if calculator is not None:
            more = gather([path], files, periodic=plan.periodic, progress=progress)
            gathered.skipped |= more.skipped
            gathered.notes |= more.notes
            entries += _measured(more.table, calculator, plan.work / f"hull-{number}", gathered, progress)[1]
    kept, missing = covered(entries)
    uncovered = {element_name(z): count for z, count in sorted(missing.items())}
    info = write_reference(
        plan.out,
        known=known,
        vertices=reduce_to_vertices(kept),
        num_entries=len(kept),
        calculator=source if kept or calculator is not None else None,
        source=_attributed(plan.source, given),
        settings={
            "amd_tolerance": plan.amd_tolerance,
            "skipped": len(gathered.skipped),
            "uncovered": uncovered,
        },
        keep_structures=plan.keep_structures,
        imported=given is not None and given.hull_is_declared,
    )
    (plan.out / SKIPPED).write_text(json.dumps(gathered.skipped, indent=1) + "\n")
    (plan.out / NOTES).write_text(json.dumps(gathered.notes, indent=1) + "\n")
    shutil.rmtree(plan.work, ignore_errors=True)
    return BuiltReference(info=info, skipped=gathered.skipped, notes=gathered.notes, uncovered=uncovered)


def _attributed(source: DataSource, given: Reference | None) -> DataSource:
    """Keep the licence of entries that are taken over, beside that of the new ones."""
    if given is None:
        return source
    licences = dict.fromkeys(filter(None, (source.licence, str(given.info["licence"]))))
    names = dict.fromkeys(filter(None, (source.attribution, str(given.info["attribution"]))))
    return replace(source, licence=" and ".join(licences), attribution=" and ".join(names))


def _energy_source(given: Reference | None, calculator: Calculator | None) -> EnergySource | None:
    """Where energies come from; a hull is extended by its own calculator alone."""
    if given is None:
        return calculator
    if given.hull is None:
        raise InvalidArgumentError(f"{given.path} has no hull")
    if calculator is not None and calculator.settings_digest != given.calculator_digest:
        raise FailedPreconditionError(
            f"the hull of {given.path} is of {given.calculator_id}, scheme {given.hull_scheme!r}, and cannot"
            f" be extended by {calculator.id}, scheme {calculator.scheme!r}: energies of two sources never"
            " share a hull"
        )
    return calculator or given.energy_source


def _known(
    gathered: Gathered, calculator: Calculator | None, plan: FilesPlan, progress: Progress | None
) -> tuple[Known, list[HullEntry]]:
    table, amd = gathered.table, gathered.vectors
    if calculator is None:
        return Known(table=table, amd=amd), []
    columns, entries = _measured(table, calculator, plan.work / "energies", gathered, progress)
    energies, embeddings, good = columns
    if not good.any():
        raise InvalidArgumentError(f"{calculator.id} gives no energy of any structure: see the reasons above")
    chosen = np.flatnonzero(good)
    left = StructureTable(ids=tuple(table.ids[row] for row in chosen), batch=table.batch.take(chosen))
    known = Known(
        table=left,
        amd=amd[chosen],
        energy_per_atom=energies[chosen],
        embeddings=None if embeddings is None else embeddings[chosen],
    )
    return known, entries


def _measured(
    table: StructureTable,
    calculator: Calculator,
    work: Path,
    gathered: Gathered,
    progress: Progress | None,
) -> tuple[tuple[NDArray[np.float64], NDArray[np.float32] | None, NDArray[np.bool_]], list[HullEntry]]:
    """Energies (M,), embeddings (M, D), which of them are good (M,), and the entries that follow."""
    report = None if progress is None else (lambda done, total: progress("energies", done, total))
    rows = compute_energies(table, calculator, work, progress=report)
    energies = rows["energy_per_atom"].to_numpy()
    statuses, messages = rows["status"].to_pylist(), rows["message"].to_pylist()
    good = np.array([status == Status.OK.name for status in statuses], dtype=bool)
    for row in np.flatnonzero(~good):
        gathered.skipped[table.ids[row]] = f"{calculator.id}: {messages[row]}"
    embeddings = None
    if "embedding" in rows.column_names:
        embeddings = rows["embedding"].combine_chunks().flatten().to_numpy().reshape(len(table), -1)
    scheme = f"{calculator.id}: {calculator.scheme}"
    entries = [
        HullEntry(
            id=table.ids[row],
            composition=composition_of(table.batch[int(row)].numbers),
            energy_per_atom=float(energies[row]),
            scheme=scheme,
        )
        for row in np.flatnonzero(good)
    ]
    return (energies, embeddings, good), entries
