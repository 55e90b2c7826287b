"""``xenolith audit``: what a second calculator says of structures, and which claims survive."""

import argparse
import json
from pathlib import Path
from typing import Any

from xenolith.analysis import AuditReport, compare, opinions_of, picture
from xenolith.analysis.audit_report import CLAIMS
from xenolith.cli.oracle.calculator import prepare, settings_of
from xenolith.cli.oracle.scores_table import show_notes
from xenolith.cli.oracle.scoring import add_periodic, score_with_progress
from xenolith.cli.oracle.structures import add_structures, read_structures
from xenolith.cli.output import add_json, console, number, table, write_json
from xenolith.cli.services import add_service_arguments, addresses_of, services
from xenolith.contract.components import DEFAULT_COMPONENT_NAMES
from xenolith.errors import FailedPreconditionError
from xenolith.headlines import headline

__all__ = ["add_parser", "run"]

_COMPONENTS = (*DEFAULT_COMPONENT_NAMES, "audit")


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "audit",
        help="ask a second calculator about structures: which claims survive, which are artefacts",
        description="Score structures and have a second calculator score them too, each on its own hull: "
        "rank correlation, shift, surviving mSUN claims, and the structures on which the two part.",
    )
    add_structures(parser)
    add_periodic(parser)
    parser.add_argument(
        "--calculator", default="chgnet-r2scan", help="the second calculator (default: chgnet-r2scan)"
    )
    parser.add_argument("--calculator-settings", default="{}", help="its settings, as a JSON object")
    parser.add_argument(
        "--hull", type=Path, help="folder of its hull (python -m oracle_svc.known.build.hulls)"
    )
    parser.add_argument("--worst", type=int, default=10, help="disagreements to list (default: 10)")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page with a picture")
    add_service_arguments(parser, "oracle")
    add_json(parser, "the findings")
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """Score, compare, report; the status is 1 if nothing could be compared."""
    out = console(given.json)
    items = read_structures(given)
    environment = {} if addresses_of(given) else {"XENOLITH_ORACLE_AUDIT": _auditor(given, out)}
    with services(given, "oracle", out, environment=environment) as client:
        offered = [info.id for info in client.oracle.describe().audit_calculators]
        # An oracle started here has the one that was asked for, whatever its id is.
        chosen = offered[0] if environment and offered else given.calculator
        if chosen not in offered:
            known = ", ".join(offered) or "none"
            raise FailedPreconditionError(
                f"the oracle's second calculators are {known}, not {chosen}; start it with --audit {chosen}"
            )
        how = {"components": _COMPONENTS, "settings": {"audit_calculator_ids": [chosen]}}
        scores = score_with_progress(client, items, how, [], out)
    if given.json != "-":
        show_notes(out, {score.source: score.notes for score in scores if score.notes})
    report = compare(
        opinions_of(scores, chosen),
        calculator=chosen,
        scoring_calculator=scores.provenance.calculator_id,
        worst=given.worst,
    )
    write_json(given.json, report.to_dict())
    if given.html:
        given.html.parent.mkdir(parents=True, exist_ok=True)
        given.html.write_text(picture(report), "utf-8")
    if given.json != "-":
        _show(out, report)
        if given.html:
            out.print(f"picture: {given.html}")
    return 0 if report.measured else 1


def _auditor(given: argparse.Namespace, out: Any) -> str:
    settings = settings_of(given)
    prepare(given.calculator, settings, out)
    spec = {"calculator": given.calculator, "settings": settings}
    if given.hull is not None:
        spec["hull"] = str(given.hull.resolve())
    return json.dumps([spec])


def _show(out: Any, report: AuditReport) -> None:
    basis = "each above its own hull" if report.basis == "hull" else "after an offset per element (no hull)"
    rows = [
        ("structures measured by both", f"{report.measured} of {report.structures}"),
        ("Spearman, Kendall", f"{number(report.spearman)}, {number(report.kendall)}"),
        ("mean shift", number(report.mean_shift, unit=" eV/atom")),
        ("median shift, robust spread", f"{number(report.median_shift)}, {number(report.spread)} eV/atom"),
    ]
    for name in CLAIMS:
        kept = report.surviving.get(name, "-")
        rows.append((f"{headline(name).label} claims surviving", f"{kept} of {report.claims[name]}"))
    rows.append(("flagged as artefacts", str(report.flagged)))
    out.print(table(f"{report.scoring_calculator} audited by {report.calculator}, {basis}", ["", ""], rows))
    if report.worst:
        columns = ["largest disagreements", "formula", "scored", "audited", "flagged"]
        lines = [
            (item.source, item.formula, number(item.scored), number(item.audited), item.reason or "-")
            for item in report.worst
        ]
        out.print(table("", columns, lines))
    for reason, count in report.problems.items():
        out.print(f"{count} not audited: {reason}")
    for warning in report.warnings:
        out.print(f"warning: {warning}", markup=False)
