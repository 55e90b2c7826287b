"""Building a reference from tables of structures: `python -m oracle_svc.known.build.from_tables --help`.

Energies are computed in shards and kept in the work folder, so that a stopped run goes on where it
was. Every element must have a structure of its own among the known structures or the hull entries.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from oracle_svc.calculators.base import Calculator
from oracle_svc.crystals.amd import DEFAULT_K, DEFAULT_TOLERANCE, amd_vectors
from oracle_svc.known.build.energies import Progress, compute_energies
from oracle_svc.known.hull import HullEntry, composition_of, reduce_to_vertices
from oracle_svc.known.reference.structures import StructureTable, read_structures
from oracle_svc.known.reference.write import DataSource, Known, write_reference
from oracle_svc.status import Status

__all__ = ["BuildPlan", "build_reference", "main"]

_MATERIALS_PROJECT = (
    "structures of the Materials Project (materialsproject.org), "
    "A. Jain et al., APL Materials 1, 011002 (2013)"
)


@dataclass(frozen=True, kw_only=True)
class BuildPlan:
    """Sources and options of a reference that is built from tables."""

    structures: Path
    """Table of the known structures (parquet: material_id, lattice, numbers, frac)."""
    hull_extra: tuple[Path, ...] = ()
    """Further tables that take part in the hull only."""
    work: Path
    """Folder for energies; kept, so that a stopped build goes on."""
    out: Path
    """Folder of the finished reference."""
    source: DataSource
    calibration: Path | None = None
    """JSON of `benchmarks/amd_tolerance.py`; its tolerance and figures are kept in the manifest."""


def build_reference(
    plan: BuildPlan, calculator: Calculator, *, progress: Progress | None = None
) -> dict[str, Any]:
    """Build a reference and return its manifest.

    Structures that the calculator cannot evaluate are left out and counted in the manifest.

    Raises
    ------
    ValueError
        If the calculator has no embeddings, or an element has no structure of its own.
    """
    if not calculator.embedding_size:
        raise ValueError(
            f"{calculator.id} gives no embeddings, which a reference needs for its diversity terms"
        )
    entries: list[HullEntry] = []
    left_out: dict[str, int] = {}
    known: Known | None = None
    for path in (plan.structures, *plan.hull_extra):
        table = read_structures(path)
        rows = compute_energies(table, calculator, plan.work / path.stem, progress=progress)
        good = np.array([status == Status.OK.name for status in rows["status"].to_pylist()])
        left_out[path.stem] = int((~good).sum())
        entries.extend(_entries(table, rows, good))
        known = known or _known(table, rows, good)
    if known is None:  # unreachable: there is always one table
        raise ValueError("no structures")
    return write_reference(
        plan.out,
        known=known,
        vertices=reduce_to_vertices(entries),
        num_entries=len(entries),
        calculator=calculator,
        source=plan.source,
        settings={**_sameness(plan.calibration), "left_out": left_out},
    )


def _sameness(calibration: Path | None) -> dict[str, Any]:
    if calibration is None:
        return {"amd_tolerance": DEFAULT_TOLERANCE}
    figures: dict[str, Any] = json.loads(calibration.read_text())
    return {"amd_tolerance": float(figures["tolerance"]), "calibration": figures}


def _known(table: StructureTable, rows: pa.Table, good: NDArray[np.bool_]) -> Known:
    chosen = np.flatnonzero(good)
    batch = table.batch.take(chosen)
    amd = amd_vectors(batch, DEFAULT_K)
    bad = [i for i, status in enumerate(amd.statuses) if status is not Status.OK]
    if bad:
        raise ValueError(f"{table.ids[chosen[bad[0]]]} has no AMD vector: {amd.messages[bad[0]]}")
    embeddings = rows["embedding"].combine_chunks().flatten().to_numpy()
    return Known(
        table=StructureTable(ids=tuple(table.ids[row] for row in chosen), batch=batch),
        amd=amd.vectors,
        energy_per_atom=rows["energy_per_atom"].to_numpy()[chosen],
        embeddings=embeddings.reshape(len(table), -1)[chosen],
    )


def _entries(table: StructureTable, rows: pa.Table, good: NDArray[np.bool_]) -> Iterator[HullEntry]:
    energies = rows["energy_per_atom"].to_numpy()
    for row in np.flatnonzero(good):
        atoms = slice(table.batch.offsets[row], table.batch.offsets[row + 1])
        yield HullEntry(
            id=table.ids[row],
            composition=composition_of(table.batch.numbers[atoms]),
            energy_per_atom=float(energies[row]),
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Build a reference from the command line."""
    parser = argparse.ArgumentParser(prog="python -m oracle_svc.known.build.from_tables", description=__doc__)
    parser.add_argument("structures", type=Path, help="parquet table of the known structures")
    parser.add_argument("--hull-extra", type=Path, nargs="*", default=[], help="tables for the hull only")
    parser.add_argument(
        "--work", type=Path, required=True, help="folder for energies; a stopped run resumes from it"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the reference")
    parser.add_argument("--name", required=True, help="short name of the known structures, such as mp20")
    parser.add_argument("--hull-name", help="short name of the hull's entries (default: the same)")
    parser.add_argument("--licence", default="CC-BY-4.0", help="SPDX id of the data's licence")
    parser.add_argument("--attribution", default=_MATERIALS_PROJECT, help="whom to name")
    parser.add_argument("--calibration", type=Path, help="JSON written by benchmarks/amd_tolerance.py")
    parser.add_argument("--device", default="cpu", help="torch device")
    chosen = parser.parse_args(arguments)
    source = DataSource(
        name=chosen.name,
        hull_name=chosen.hull_name or chosen.name,
        licence=chosen.licence,
        attribution=chosen.attribution,
    )
    plan = BuildPlan(
        structures=chosen.structures,
        hull_extra=tuple(chosen.hull_extra),
        work=chosen.work,
        out=chosen.out,
        source=source,
        calibration=chosen.calibration,
    )
    from oracle_svc.calculators.chgnet.calculator import ChgnetCalculator

    info = build_reference(plan, ChgnetCalculator(device=chosen.device), progress=_report)
    sys.stderr.write(
        f"{plan.out}: {info['structures']['count']} structures, {info['hull']['vertices']} hull vertices\n"
    )
    return 0


def _report(done: int, total: int) -> None:
    sys.stderr.write(f"{done} of {total} structures\n")


if __name__ == "__main__":
    sys.exit(main())
