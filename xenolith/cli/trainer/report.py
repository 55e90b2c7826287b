"""``xenolith report``: where a run's report is, and what it says in short."""

import argparse
import json
import webbrowser
from pathlib import Path
from typing import Any

from xenolith.cli.output import add_json, console, table, write_json
from xenolith.cli.services import add_service_arguments, addresses_of, services
from xenolith.cli.trainer.runs import fetch, summary
from xenolith.errors import NotFoundError
from xenolith.headlines import PRINCIPAL_HEADLINES

__all__ = ["add_parser", "run"]


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "report", help="the report of a run", description="Show a run's outcome and where its report is."
    )
    parser.add_argument(
        "name", metavar="RUN", nargs="?", default="quickstart", help="name (default: quickstart)"
    )
    parser.add_argument("--open", action="store_true", help="open it in the browser")
    add_service_arguments(parser, "trainer")
    add_json(parser, "the outcome")
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """Show the report of a run on this machine, or fetch it from a trainer."""
    out = console(given.json)
    if addresses_of(given):
        with services(given, "trainer", out) as client:
            found = client.trainer.get_run(given.name)
            folder, values = fetch(client, found, given.runs), summary(found)
    else:
        folder, values = _local(given.runs / given.name)
    write_json(given.json, values)
    if given.json != "-":
        out.print(table(f"run {given.name}", ["", "base", "tuned"], _rows(values)))
    if folder is None or not (folder / "report.html").is_file():
        raise NotFoundError(f"run {given.name} has no report yet; it is written when the run ends")
    out.print(f"report: {folder / 'report.html'}")
    if given.open:
        webbrowser.open((folder / "report.html").resolve().as_uri())
    return 0


def _local(folder: Path) -> tuple[Path, dict[str, Any]]:
    if not folder.is_dir():
        known = sorted(path.parent.name for path in folder.parent.glob("*/config.json"))
        raise NotFoundError(
            f"no run in {folder}"
            + (f"; there are {', '.join(known)}" if known else "; --runs names another folder")
        )
    file = folder / "summary.json"
    if not file.is_file():
        raise NotFoundError(f"{folder} has no summary.json yet; it is written when the run ends")
    return folder, json.loads(file.read_text())


def _rows(values: dict[str, Any]) -> list[tuple[str, ...]]:
    both = [values.get("base") or {}, values.get("tuned") or {}]
    rows = [("samples", *(str(e.get("n", "-")) for e in both))]
    for name in (metric.name for metric in PRINCIPAL_HEADLINES):
        rows += [(name, *(f"{e[name]:.1%}" if e.get(name) is not None else "-" for e in both))]
    intervals = [e.get("msun_ci95") for e in both]
    rows.append(("msun 95 %", *(f"[{i[0]:.1%}, {i[1]:.1%}]" if i else "-" for i in intervals)))
    return rows
