"""Building the hull of a second calculator: `python -m oracle_svc.known.build.hulls --help`.

An audit compares energies above the hull, and each calculator needs a hull of its own energies: two are
never put on one. Energies are computed in shards and kept in the work folder, so that a stopped build goes
on where it was.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from oracle_svc.calculators.base import Calculator
from oracle_svc.crystals.elements import element_name
from oracle_svc.known.build.energies import Progress, compute_energies, missing_rows
from oracle_svc.known.hull import HullEntry, composition_of, covered, reduce_to_vertices
from oracle_svc.known.reference.folder import Reference
from oracle_svc.known.reference.hull_folder import write_hull
from oracle_svc.known.reference.manifest import HULL
from oracle_svc.known.reference.structures import StructureTable, read_structures
from oracle_svc.pools.pooled_calculator import open_pooled
from oracle_svc.status import Status
from xenolith.bundle import sha256
from xenolith.crystal import Crystal, CrystalBatch
from xenolith.serving import usable_cores

__all__ = ["MATERIALS_PROJECT", "HullPlan", "build_hull", "main", "seconds_left", "tables_of"]

MATERIALS_PROJECT = (
    "structures of the Materials Project (materialsproject.org), "
    "A. Jain et al., APL Materials 1, 011002 (2013)"
)


@dataclass(frozen=True, kw_only=True)
class HullPlan:
    """Sources and options of a hull to build."""

    structures: tuple[Path, ...]
    """Tables of structures (parquet: material_id, lattice, numbers, frac)."""
    work: Path
    """Folder for energies; kept, so that a stopped build goes on."""
    out: Path
    """Folder of the finished hull."""
    name: str
    """Short name of the entries."""
    vertices_of: Path | None = None
    """Reference whose hull's vertices alone are evaluated: a third of the work, but phases that only the new
    calculator finds stable are missed, so that its hull lies too high."""
    simplest: int | None = None
    """Of each table, only this many structures, those of fewest elements first: for a rehearsal. A hull of
    these lies too high."""
    licence: str = "CC-BY-4.0"
    attribution: str = MATERIALS_PROJECT


def build_hull(plan: HullPlan, calculator: Calculator, *, progress: Progress | None = None) -> dict[str, Any]:
    """Build the hull and return its manifest.

    Structures that the calculator cannot evaluate, and compounds of an element that has no phase of its own
    that it can, are left out and counted in the manifest.

    Raises
    ------
    ValueError
        If a table cannot be read, or not one structure could be evaluated.
    """
    entries: list[HullEntry] = []
    failed, before, total = 0, 0, sum(len(table) for table in tables_of(plan).values())
    for path, table in tables_of(plan).items():
        rows = compute_energies(
            table, calculator, plan.work / path.stem, progress=_onwards(progress, before, total)
        )
        before += len(table)
        found = _entries(table, rows)
        failed += len(table) - len(found)
        entries.extend(found)
    usable, missing = covered(entries)
    if not usable:
        raise ValueError("not one structure could be evaluated, or no element among them")
    source = {
        "structures": [{"file": path.name, "sha256": sha256(path)} for path in plan.structures],
        "vertices_of": None if plan.vertices_of is None else Reference.read(plan.vertices_of).hull_id,
        "entries": len(usable),
        "failed": failed,
        "without_elemental_reference": {element_name(z): count for z, count in sorted(missing.items())},
        "licence": plan.licence,
        "attribution": plan.attribution,
    }
    vertices = reduce_to_vertices(usable)
    return write_hull(plan.out, vertices=vertices, calculator=calculator, name=plan.name, source=source)


def tables_of(plan: HullPlan) -> dict[Path, StructureTable]:
    """Return the structures that a plan evaluates, by the file that they come from.

    Raises
    ------
    ValueError
        A table cannot be read.
    """
    chosen = _vertex_ids(plan.vertices_of)
    return {
        path: _simplest(_chosen(read_structures(path), chosen), plan.simplest) for path in plan.structures
    }


def seconds_left(plan: HullPlan, calculator: Calculator, *, sample: int = 24) -> tuple[int, int, float]:
    """Return how many structures a plan has, how many are left, and about how long those take, seconds.

    A few of those left are timed, after one that wakes the calculator.
    """
    left: list[Crystal] = []
    tables = tables_of(plan)
    for path, table in tables.items():
        for begin, end in missing_rows(len(table), plan.work / path.stem):
            left.extend(table.batch.take(np.arange(begin, end)))
    total = sum(len(table) for table in tables.values())
    if not left:
        return total, 0, 0.0
    order = np.random.default_rng(0).permutation(len(left))
    calculator.evaluate(CrystalBatch.from_crystals([left[order[0]]]))
    timed = [left[row] for row in order[:sample]]
    began = time.monotonic()
    calculator.evaluate(CrystalBatch.from_crystals(timed))
    elapsed = time.monotonic() - began
    # Work grows with atoms, and cells differ in size.
    atoms = sum(crystal.num_atoms for crystal in left) / sum(crystal.num_atoms for crystal in timed)
    return total, len(left), elapsed * atoms


def _onwards(progress: Progress | None, before: int, total: int) -> Progress | None:
    """Progress of one table, told as that of all."""
    return None if progress is None else lambda done, _total: progress(before + done, total)


def _vertex_ids(reference: Path | None) -> frozenset[str] | None:
    if reference is None:
        return None
    return frozenset(pq.read_table(reference / HULL, columns=["id"])["id"].to_pylist())


def _chosen(table: StructureTable, ids: frozenset[str] | None) -> StructureTable:
    if ids is None:
        return table
    rows = np.array([row for row, name in enumerate(table.ids) if name in ids], dtype=np.int64)
    return StructureTable(ids=tuple(table.ids[row] for row in rows), batch=table.batch.take(rows))


def _simplest(table: StructureTable, most: int | None) -> StructureTable:
    if most is None or len(table) <= most:
        return table
    kinds = np.array([len(set(crystal.numbers.tolist())) for crystal in table.batch])
    rows = np.sort(np.argsort(kinds, kind="stable")[:most])
    return StructureTable(ids=tuple(table.ids[row] for row in rows), batch=table.batch.take(rows))


def _entries(table: StructureTable, rows: pa.Table) -> list[HullEntry]:
    energies, statuses = rows["energy_per_atom"].to_pylist(), rows["status"].to_pylist()
    return [
        HullEntry(id=name, composition=composition_of(crystal.numbers), energy_per_atom=energy)
        for name, crystal, energy, status in zip(table.ids, table.batch, energies, statuses, strict=True)
        if status == Status.OK.name
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Build a hull from the command line."""
    parser = argparse.ArgumentParser(prog="python -m oracle_svc.known.build.hulls", description=__doc__)
    parser.add_argument("structures", type=Path, nargs="+", help="parquet tables of structures")
    parser.add_argument("--calculator", required=True, help="calculator, such as chgnet-r2scan or mace")
    parser.add_argument("--calculator-settings", type=json.loads, default={}, help="its settings, as JSON")
    parser.add_argument("--vertices-of", type=Path, help="only the vertices of this reference's hull")
    parser.add_argument(
        "--work", type=Path, required=True, help="folder for energies; a stopped build resumes"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the hull")
    parser.add_argument("--name", required=True, help="short name of the entries, such as mp2024")
    parser.add_argument(
        "--workers", type=int, default=usable_cores(), help="processes; default: one per core"
    )
    parser.add_argument("--licence", default="CC-BY-4.0", help="SPDX id of the data's licence")
    parser.add_argument("--attribution", default=MATERIALS_PROJECT, help="whom to name")
    given = parser.parse_args(arguments)
    plan = HullPlan(
        structures=tuple(given.structures),
        work=given.work,
        out=given.out,
        name=given.name,
        vertices_of=given.vertices_of,
        licence=given.licence,
        attribution=given.attribution,
    )
    with open_pooled(given.calculator, given.calculator_settings, workers=given.workers) as calculator:
        info = build_hull(plan, calculator, progress=_report)
    sys.stderr.write(f"{plan.out}: hull {info['hull']['id']}, {info['hull']['vertices']} vertices\n")
    return 0


def _report(done: int, total: int) -> None:
    sys.stderr.write(f"{done} of {total} structures\n")


if __name__ == "__main__":
    sys.exit(main())
