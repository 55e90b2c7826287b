"""``xenolith score``: measure crystals from files."""

import argparse
from collections.abc import Sequence
from typing import Any

from xenolith.cli.oracle.auditors import add_auditors, auditor_environment, auditor_ids
from xenolith.cli.oracle.calculator import add_calculator, calculator_environment
from xenolith.cli.oracle.operation import follow_operation
from xenolith.cli.oracle.scores_table import show_scores
from xenolith.cli.oracle.scoring import add_out, add_periodic, check_out, score_with_progress, write_out
from xenolith.cli.output import add_json, console, write_json
from xenolith.cli.services import add_service_arguments, services
from xenolith.client import Client
from xenolith.contract.components import DEFAULT_COMPONENT_NAMES
from xenolith.convert import Item, read_paths
from xenolith.errors import InvalidArgumentError

__all__ = ["add_parser", "run"]


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "score",
        help="measure crystals: stability, novelty, uniqueness, validity",
        description="Measure the crystals of CIF, POSCAR, extxyz, pymatgen JSON and ASE files, packed or not,"
        " or of whole folders of them.",
    )
    parser.add_argument("paths", nargs="+", metavar="PATH", help="file or folder")
    add_periodic(parser)
    parser.add_argument(
        "--components",
        default=",".join(DEFAULT_COMPONENT_NAMES),
        help="what to measure, comma-separated",
    )
    add_calculator(parser)
    add_auditors(parser)
    parser.add_argument("--relax", action="store_true", help="relax, and report relaxed values too")
    add_out(parser)
    parser.add_argument(
        "--submit",
        action="store_true",
        help="leave it to an oracle that stays (needs --oracle), and follow it with 'xenolith operation'",
    )
    add_service_arguments(parser, "oracle")
    add_json(parser, "one object per structure")
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """Read, score, report."""
    out = console(given.json)
    check_out(given.out)
    items = read_paths(given.paths, periodic=given.periodic)
    _expect_any(items)
    # An oracle started here has the calculator that was asked for, whatever its id is.
    settings: dict[str, Any] = {"calculator_id": given.calculator if given.oracle else ""}
    if given.relax:
        settings["relax"] = {}
    if given.submit and not given.oracle:
        raise InvalidArgumentError("--submit needs an oracle that stays: --oracle HOST:PORT")
    components = given.components.split(",")
    if given.audit and "audit" not in map(str.lower, components):
        components.append("audit")
    how = {"components": components, "settings": settings}
    environment = {} if given.oracle else calculator_environment(given, out) | auditor_environment(given, out)
    with services(given, "oracle", out, environment=environment) as client:
        if given.audit:
            settings["audit_calculator_ids"] = auditor_ids(given, client)
        if given.submit:
            return _submit(given, client, items, how, out)
        if _takes_long(client):
            scores = follow_operation(client.oracle.submit_score(items, **how), out)
        else:
            scores = score_with_progress(client, items, how, given.out, out)
    write_out(given.out, scores, f"Scores of {', '.join(given.paths)}")
    write_json(given.json, scores.to_dicts())
    if given.json != "-":
        show_scores(out, scores)
    return 0 if any(score.ok for score in scores) else 1


def _expect_any(items: Sequence[Item]) -> None:
    """Say what is wrong before an oracle is started for nothing."""
    problems = [str(item.problem) for item in items if item.problem]
    if len(problems) == len(items):
        raise InvalidArgumentError("; ".join(problems[:5]) or "no structures given")


def _submit(given: argparse.Namespace, client: Client, items: Any, how: dict[str, Any], out: Any) -> int:
    handle = client.oracle.submit_score(items, **how)
    write_json(given.json, {"id": handle.id, "state": handle.state})
    out.print(f"submitted {len(items)} structures as operation {handle.id}")
    out.print(f"follow it: xenolith operation wait {handle.id} --oracle {given.oracle}")
    return 0


def _takes_long(client: Client) -> bool:
    """Whether a call would end before its structures do."""
    can = client.oracle.describe()
    return can.supports_operations and any(calculator.long_running for calculator in can.calculators[:1])
