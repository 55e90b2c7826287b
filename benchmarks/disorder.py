"""The mixing test on known cases of order and disorder, against the literature.

    xenolith up --bundle mp20-small                 # an oracle
    python -m benchmarks.disorder --oracle HOST:PORT --json disorder.json

Cases, transition temperatures and their sources are in disorder_cases.toml. A case counts as flagged if one
of its mixing tests puts the loss of order below the temperature (1000 K). Critical temperatures of gaps of
miscibility are compared with the temperature at which mixing pays against decomposition.
"""

from __future__ import annotations

import sys
import time
import tomllib
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pymatgen.core import Lattice, Structure

from benchmarks.command_line import benchmark_parser, parse, publish
from xenolith import Client
from xenolith.analysis.disorder import Mixing, mixing_tests
from xenolith.analysis.disorder.folder import disorder_rows
from xenolith.convert import Item, from_pymatgen

CASES = Path(__file__).with_name("disorder_cases.toml")


def crystal_of(case: dict[str, Any]) -> Item:
    """Build the primitive cell of a case."""
    parameters = [float(value) for value in case["cell"]]
    cell = [*parameters, *parameters[:1] * 2][:3] if len(parameters) < 3 else parameters[:3]
    lattice = Lattice.from_parameters(*cell, *(parameters[3:] or (90.0, 90.0, 90.0)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        structure = Structure.from_spacegroup(
            case["group"], lattice, [site[0] for site in case["sites"]], [site[1:] for site in case["sites"]]
        )
        return Item(source=case["name"], crystal=from_pymatgen(structure.get_primitive_structure()))


def compared(case: dict[str, Any], results: Sequence[Mixing], temperature: float) -> dict[str, Any]:
    """Lay the tests of a case beside its literature."""
    # The weakest order decides.
    orders = [r.ordering_temperature for r in results if r.ordering_temperature is not None]
    ordering = min(orders, default=None)
    mixing = next((r.mixing_temperature for r in results if r.ordering_temperature == ordering), None)
    found = mixing if case["kind"] == "gap" else ordering
    known = case.get("temperature")
    within = None if known is None else found is not None and known / 2 <= found <= known * 2
    return {
        "case": case["name"],
        "kind": case["kind"],
        "source": case["source"],
        "disordered": case["disordered"],
        "flagged": ordering is not None and ordering < temperature,
        "literature_K": known,
        "found_K": found,
        "ordering_K": ordering,
        "mixing_K": mixing,
        "within_factor_two": within,
        "tests": disorder_rows(results, temperature),
    }


def measure(address: str, cases: int, temperature: float, file: Path | None) -> None:
    """Test the first `cases` cases; figures are written after each."""
    table = tomllib.loads(CASES.read_text())["case"][:cases]
    rows: list[dict[str, Any]] = []
    began = time.perf_counter()
    with Client.connect(oracle=address) as client:
        for case in table:
            results, _ = mixing_tests(client, [crystal_of(case)])
            rows.append(compared(case, results, temperature))
            known = [row["within_factor_two"] for row in rows if row["within_factor_two"] is not None]
            mixed = [row["flagged"] for row in rows if row["disordered"]]
            ordered = [row["flagged"] for row in rows if not row["disordered"]]
            figures = {
                "temperature_K": temperature,
                "cases": len(rows),
                "disordered": len(mixed),
                "flagged_of_disordered": sum(mixed),
                "ordered": len(ordered),
                "flagged_of_ordered": sum(ordered),
                "with_temperature": len(known),
                "within_factor_two": sum(known),
                "seconds": round(time.perf_counter() - began, 1),
            }
            if file is not None:
                publish(figures, file, rows=rows)
            sys.stderr.write(
                f"{case['name']}: order lost at {rows[-1]['ordering_K']}, mixing pays at"
                f" {rows[-1]['mixing_K']}, literature {case.get('temperature')}\n"
            )
    publish(figures, file, rows=rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = benchmark_parser("disorder", __doc__)
    parser.add_argument("--oracle", required=True, metavar="HOST:PORT", help="an oracle that relaxes")
    parser.add_argument("--cases", type=int, default=10_000, help="the first N cases alone")
    parser.add_argument("--temperature", type=float, default=1000.0, help="K, at which cases are flagged")
    given = parse(parser, arguments, quick={"cases": 1})
    measure(given.oracle, given.cases, given.temperature, given.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
