"""``xenolith disorder``: which ordered crystals would be disordered when they are made."""

import argparse
import math
from collections.abc import Sequence
from typing import Any

from xenolith.analysis.disorder import Bounds, mixing_tests, write_disorder
from xenolith.analysis.disorder.folder import disorder_rows
from xenolith.cli.oracle.calculator import add_calculator, calculator_environment
from xenolith.cli.oracle.scoring import add_periodic
from xenolith.cli.oracle.structures import add_structures, read_structures
from xenolith.cli.output import add_json, add_new_folder, console, number, table, write_json
from xenolith.cli.progress import Progress
from xenolith.cli.services import add_service_arguments, services
from xenolith.convert import Item
from xenolith.errors import InvalidArgumentError
from xenolith.files import expect_new, read_json

__all__ = ["add_parser", "run"]

_TEMPERATURE = 1000.0
_LABEL = "e_above_hull"


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "disorder",
        help="the mixing test: which ordered crystals would be disordered when they are made",
        description="Merge elements that could share a site; where that raises the symmetry, compare the"
        " energies of orderings with those of quasi-random cells and with the entropy of mixing.",
    )
    add_structures(parser)
    add_periodic(parser)
    add_new_folder(parser)
    parser.add_argument(
        "-n",
        "--count",
        type=int,
        metavar="N",
        help="test only N: those lowest above the hull, where the file says it, as a run's does",
    )
    parser.add_argument(
        "--temperature",
        type=float,
        default=_TEMPERATURE,
        metavar="K",
        help=f"flag what loses its order below this (default: {_TEMPERATURE:g})",
    )
    add_calculator(parser)
    add_service_arguments(parser, "oracle")
    add_json(parser, "the results")
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """Test, write, report; the status is 1 if nothing could be read."""
    out = console(given.json)
    if not given.temperature > 0 or not math.isfinite(given.temperature):
        raise InvalidArgumentError(f"--temperature is {given.temperature:g} K; it must be above 0")
    if given.count is not None and given.count < 1:
        raise InvalidArgumentError(f"--count is {given.count}; it must be 1 at least")
    expect_new(given.out)
    items = _lowest(read_structures(given), given.count)
    environment = {} if given.oracle else calculator_environment(given, out)
    with services(given, "oracle", out, environment=environment) as client, Progress(out) as progress:
        can = client.oracle.describe()
        results, others = mixing_tests(
            client, items, Bounds(), progress=lambda done, of: progress.update("tested", done, of)
        )
    provenance = {
        "calculator_id": can.calculators[0].id if can.calculators else "",
        "hull_id": can.references[0].hull_id if can.references else "",
        "service_version": can.service_version,
    }
    write_disorder(given.out, results, others=others, temperature=given.temperature, provenance=provenance)
    if given.json:
        write_json(given.json, read_json(given.out / "disorder.json"))
    if given.json != "-":
        _show(out, disorder_rows(results, given.temperature))
        flagged = len({result.source for result in results if result.disordered_at(given.temperature)})
        out.print(
            f"{flagged} of {len(items)} flagged at {given.temperature:g} K; {len(others)} have nothing to"
            f" mix; table and occupancy CIFs: {given.out}",
            markup=False,
        )
    return 0


def _lowest(items: Sequence[Item], count: int | None) -> Sequence[Item]:
    if count is None:
        return items
    # Sorting is stable: what has no energy beside it comes last, in its order.
    return sorted(items, key=lambda item: float(item.labels.get(_LABEL, math.inf)))[:count]


def _show(out: Any, rows: Sequence[dict[str, Any]]) -> None:
    columns = ["crystal", "mixing", "ordered", "parent", "orderings", "order lost at (K)", "disordered"]
    yes_no = {True: "yes", False: "no", None: "-"}
    lines = [
        (
            str(row["formula"]),
            str(row["mixing"]),
            str(row["ordered_space_group"]),
            str(row["parent_space_group"]),
            str(row["orderings"]),
            number(row["ordering_temperature"], 0),
            yes_no[row["disordered"]],
        )
        for row in rows
    ]
    if lines:
        out.print(table("", columns, lines))
