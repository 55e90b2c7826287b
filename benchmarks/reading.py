"""Success of the reader of structure files on files as people have them, and on crystals written here.

    python -m benchmarks.reading --docs docs/files.md --before aed6e64
    python -m benchmarks.reading --crystals samples.extxyz --count 2000

The first reads every file below tests/structure_files and compares with what is right (expected.toml there);
with --before the same files are read by the reader of an older commit, and with --docs the table in that
page is written anew. The second writes crystals as CIF, with and without symmetry, POSCAR and extxyz, and
reads them back. Prints JSON.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import time
import tomllib
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import spglib

from benchmarks.command_line import benchmark_parser, parse, publish
from oracle_svc.crystals.amd import DEFAULT_K, amd_of
from xenolith.convert import (
    Item,
    read_extxyz,
    read_path,
    write_cif,
    write_extxyz,
)
from xenolith.convert.poscar import to_poscar
from xenolith.crystal import Crystal, Floats

_ROOT = Path(__file__).resolve().parents[1]
_FILES = _ROOT / "tests" / "structure_files"
_OTHERS = _ROOT / "tests" / "other_cases.toml"
_BEGIN, _END = "<!-- cases -->", "<!-- end of cases -->"
_SAME = 1e-3
"""Atoms of two readings of one file are at one place within this, Angstrom."""
_OLD = """
import json, sys
from xenolith.convert import read_path
for line in sys.stdin:
    try:
        items = [[i.source, f"{i.crystal.formula}, {i.crystal.num_atoms} atoms" if i.crystal is not None else
                  "refused: " + str(i.problem)] for i in read_path(line.strip())]
    except Exception as error:
        items = [[line.strip(), f"fails: {type(error).__name__}"]]
    print(json.dumps(items), flush=True)
"""


def cases(before: str | None) -> list[dict[str, str]]:
    """One row for each structure of each file: what is right, what an older reader said, what is said now."""
    expected = tomllib.loads((_FILES / "expected.toml").read_text("utf-8"))
    folders = sorted({name.split("/")[0] for name in expected})
    old = _by_old_reader(before, folders) if before else {}
    rows = []
    for folder in folders:
        now = {item.source.removeprefix(f"{_FILES}/"): item for item in read_path(_FILES / folder)}
        for name in [name for name in expected if name.startswith(f"{folder}/")]:
            said = _said(now[name]) if name in now else "nothing"
            rows.append(
                {
                    "case": name,
                    "expected": _wanted(expected[name]),
                    "before": _found_before(old, name) if before else "",
                    "now": said,
                    "notes": "; ".join(now[name].notes) if name in now else "",
                    "right": "yes" if _is_right(now.get(name), expected[name]) else "NO",
                }
            )
    return rows


def _found_before(old: Mapping[str, str], name: str) -> str:
    """Return the findings on a structure, or on its whole file."""
    return old.get(name) or old.get(name.split("#", maxsplit=1)[0]) or "left out in silence"


def round_trips(crystals: Sequence[Crystal], tolerances: Sequence[float]) -> dict[str, Any]:
    """How many crystals read back as they were written, for each way, and what is wrong with the rest."""
    ways: dict[str, Callable[[Crystal, Path], None]] = {
        "CIF": lambda crystal, path: write_cif(crystal, path / "a.cif"),
        "POSCAR": lambda crystal, path: _write(path / "POSCAR", to_poscar(crystal)),
        "extxyz": lambda crystal, path: write_extxyz(path / "a.extxyz", [crystal]),
    }
    figures: dict[str, Any] = {}
    for name, write in ways.items():
        figures[name] = _trips(crystals, write, _is_same)
    for tolerance in tolerances:
        figures[f"CIF, symmetry within {tolerance:g} A"] = _trips(
            crystals,
            lambda crystal, path, tolerance=tolerance: write_cif(crystal, path / "a.cif", symprec=tolerance),  # type: ignore[misc]
            lambda given, read, tolerance=tolerance: _is_near(given, read, tolerance),  # type: ignore[misc]
        )
    return figures


def _trips(
    crystals: Sequence[Crystal],
    write: Callable[[Crystal, Path], None],
    judge: Callable[[Crystal, Crystal], str],
) -> dict[str, Any]:
    outcomes: Counter[str] = Counter()
    examples: dict[str, int] = {}
    noted, began = 0, time.perf_counter()
    for index, crystal in enumerate(crystals):
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            write(crystal, Path(folder))
            items = read_path(folder)
        if len(items) != 1 or items[0].crystal is None:
            outcome = "refused" if items and items[0].problem else f"{len(items)} structures"
            reason = str(items[0].problem).rpartition(": ")[2] if items else ""
            examples.setdefault(f"{outcome}: {reason}", index)
        else:
            outcome = judge(crystal, items[0].crystal)
            noted += bool(items[0].notes)
            examples.setdefault(outcome, index)
        outcomes[outcome or "same"] += 1
    examples.pop("", None)
    return {
        "crystals": len(crystals),
        **outcomes,
        "with notes": noted,
        "first of each": examples,
        "seconds": round(time.perf_counter() - began, 1),
    }


def _is_same(given: Crystal, read: Crystal) -> str:
    """Empty if cell and atoms are the same, whatever the order of the atoms."""
    if sorted(given.numbers) != sorted(read.numbers):
        return "other atoms"
    before, after = (crystal.lattice @ crystal.lattice.T for crystal in (given, read))
    if not np.allclose(before, after, rtol=1e-5, atol=1e-4):
        return "another cell"
    shift = given.frac_coords[:, None] - read.frac_coords[None]
    shift -= np.round(shift)
    distance = np.linalg.norm(shift @ given.lattice, axis=-1)
    distance[given.numbers[:, None] != read.numbers[None]] = np.inf
    return (
        "" if (distance.min(axis=1) < _SAME).all() and (distance.min(axis=0) < _SAME).all() else "moved atoms"
    )


def _is_near(given: Crystal, read: Crystal, tolerance: float) -> str:
    """Empty if formula and atoms of a primitive cell are the same and no atom has moved by more than this."""
    if given.formula != read.formula:
        return "another formula"
    per_atom = [crystal.volume / crystal.num_atoms for crystal in (given, read)]
    if abs(per_atom[0] / per_atom[1] - 1) > 0.05:
        return "another count of atoms"
    if not _is_same(given, read):
        return ""
    # Average minimum distances do not see how a cell is chosen, and change by at most twice what atoms move.
    amd = [amd_of(crystal.lattice, crystal.frac_coords, DEFAULT_K) for crystal in (given, read)]
    if float(np.abs(amd[0] - amd[1]).max()) > 2 * max(tolerance, _SAME):
        return "another crystal"
    moved = _moved(given, read, tolerance)
    return "" if moved <= max(tolerance, _SAME) else "atoms moved by more than the tolerance"


def _moved(given: Crystal, read: Crystal, tolerance: float) -> float:
    """How far atoms have moved at most, Angstrom, site by site; infinite if some have no partner.

    The cell that was written is spglib's standard cell: its matrix and shift take each atom that was given to
    its place there, and each that was read back to its place in the cell that was given.
    """
    cell = (given.lattice.tolist(), given.frac_coords.tolist(), given.numbers.tolist())
    found = spglib.get_symmetry_dataset(cell, symprec=tolerance)
    if found is None:
        return np.inf
    there = given.frac_coords @ found.transformation_matrix.T + found.origin_shift
    back = (read.frac_coords - found.origin_shift) @ np.linalg.inv(found.transformation_matrix).T
    return max(
        _farthest(there, given.numbers, read.frac_coords, read.numbers, read.lattice),
        _farthest(back, read.numbers, given.frac_coords, given.numbers, given.lattice),
    )


def _farthest(places: Floats, kinds: Any, others: Floats, their_kinds: Any, lattice: Floats) -> float:
    """Largest distance of an atom to the nearest one of its element among the others, Angstrom."""
    shift = places[:, None] - others[None]
    shift -= np.round(shift)
    distance = np.linalg.norm(shift @ lattice, axis=-1)
    distance[kinds[:, None] != their_kinds[None]] = np.inf
    return float(distance.min(axis=1).max())


def _write(path: Path, text: str) -> None:
    path.write_text(text)


def _wanted(expected: Mapping[str, Any]) -> str:
    if "status" in expected:
        return str(expected["status"])
    return f"{expected['formula']}, {expected['atoms']} atoms"


def _said(item: Item) -> str:
    if item.crystal is None:
        return f"refused: {str(item.problem).removeprefix(item.source + ': ')}"
    return f"{item.crystal.formula}, {item.crystal.num_atoms} atoms"


def _is_right(item: Item | None, expected: Mapping[str, Any]) -> bool:
    if item is None:
        return False
    if "status" in expected:
        return item.crystal is None and expected["because"] in str(item.problem)
    return _said(item) == _wanted(expected) and list(item.notes) == expected.get("notes", [])


def _by_old_reader(commit: str, folders: Sequence[str]) -> dict[str, str]:
    """Return the findings of a commit's reader on the same files."""
    archive = subprocess.run(
        ["git", "-C", str(_ROOT), "archive", commit, "xenolith"],  # noqa: S607
        check=True,
        capture_output=True,
    ).stdout
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(fileobj=io.BytesIO(archive)) as files:
            files.extractall(folder, filter="data")
        done = subprocess.run(
            [sys.executable, "-c", _OLD],
            input="\n".join(str(_FILES / name) for name in folders),
            env={**os.environ, "PYTHONPATH": folder, "PYTHONWARNINGS": "ignore"},
            cwd=folder,
            check=True,
            capture_output=True,
            text=True,
        )
    said = [item for line in done.stdout.splitlines() for item in json.loads(line)]
    return {
        source.removeprefix(f"{_FILES}/"): text.replace(f"{source}: ", "").replace(f"{_FILES}/", "")
        for source, text in said
    }


def write_table(page: Path, rows: Sequence[Mapping[str, str]]) -> None:
    """Write the table of a page anew, between its marks."""
    text = page.read_text("utf-8")
    head, rest = text.split(_BEGIN)
    tail = rest.split(_END)[1]
    lines = ["| case | right | before | now |", "|---|---|---|---|"]
    for row in rows:
        now = row["now"] + (f"; note: {row['notes']}" if row.get("notes") else "")
        cells = (f"`{row['case']}`", row["expected"], _short(row["before"]), _short(now))
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    page.write_text(f"{head}{_BEGIN}\n" + "\n".join(lines) + f"\n{_END}{tail}", "utf-8")


def _short(text: str) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= 130 else f"{plain[:129]}…"


def main(arguments: Sequence[str] | None = None) -> int:
    """Read cases, or write and read crystals, and print."""
    parser = benchmark_parser("reading", __doc__)
    parser.add_argument("--before", metavar="COMMIT", help="read the files by this commit's reader too")
    parser.add_argument("--docs", type=Path, metavar="PAGE", help="write the table of this page anew")
    parser.add_argument("--crystals", type=Path, help="extxyz file of crystals to write and read back")
    parser.add_argument("--count", type=int, default=2000, help="how many of them")
    parser.add_argument(
        "--tolerances", type=float, nargs="+", default=[0.01, 0.1], help="of symmetry, Angstrom"
    )
    given = parse(parser, arguments, quick={"count": 20})
    figures: dict[str, Any] = {}
    if given.crystals is not None:
        figures["round trips"] = round_trips(read_extxyz(given.crystals)[: given.count], given.tolerances)
    rows = cases(given.before)
    others = tomllib.loads(_OTHERS.read_text("utf-8"))
    if given.docs is not None:
        write_table(given.docs, [*rows, *({"case": name, **row} for name, row in others.items())])
    figures["structures"] = len(rows)
    figures["cases"] = len({row["case"].split("/")[0] for row in rows}) + len(others)
    figures["read as they should be"] = sum(row["right"] == "yes" for row in rows)
    figures["wrong"] = [row for row in rows if row["right"] != "yes"]
    if given.before:
        figures["wrong before"] = sum(not _agrees(row) for row in rows)
    publish(figures, given.json, rows=rows)
    return 0 if not figures["wrong"] else 1


def _agrees(row: Mapping[str, str]) -> bool:
    """Whether the older reader gave the same atoms, or refused what is to be refused."""
    refused = row["expected"] in ("MALFORMED", "DISORDERED")
    return row["before"].startswith("refused") if refused else row["before"] == row["expected"]


if __name__ == "__main__":
    sys.exit(main())
