"""``xenolith conformance``: put a service to the rules of the contract."""

import argparse
from pathlib import Path
from typing import Any

from xenolith.cli.output import add_json, console, table, write_json
from xenolith.cli.services import add_security_arguments, options_of
from xenolith.conformance import CHECKS, Check, Lab, LabSettings, Result, run_checks, select
from xenolith.convert import read_paths
from xenolith.crystal import Crystal
from xenolith.errors import InvalidArgumentError

__all__ = ["add_parser", "run"]

_STYLES = {"passed": "green", "failed": "bold red", "skipped": "dim"}


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "conformance",
        help="check whether a service keeps the oracle's contract",
        description="Put any implementation of xenolith.v1.OracleService to the rules of the contract. The "
        "exit status is 0 if it keeps all that apply to it, else 1.",
    )
    parser.add_argument(
        "--target", "--oracle", dest="target", metavar="HOST:PORT", help="the oracle to check"
    )
    parser.add_argument(
        "--only",
        metavar="NAME",
        action="append",
        default=[],
        help="check this rule or theme alone, such as stream or 'malformed.nan-*'; may be repeated",
    )
    parser.add_argument("--list", action="store_true", help="list the rules, and check nothing")
    parser.add_argument(
        "--quick",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="evaluate two crystals, and few times; default: for oracles that say they are slow",
    )
    parser.add_argument(
        "--crystals",
        metavar="PATH",
        type=Path,
        help="file or folder of crystals that the oracle can measure, cheapest first; default: textbook ones",
    )
    parser.add_argument("--timeout", metavar="SECONDS", type=float, help="time limit of a call")
    parser.add_argument(
        "--energy-tolerance",
        metavar="EV",
        type=float,
        default=LabSettings.energy_tolerance,
        help="largest difference of two energies of one crystal, eV/atom (default: %(default)s)",
    )
    add_security_arguments(parser)
    add_json(parser, "the outcome of each check")
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """Check, show each outcome as it comes, then what is broken and why."""
    checks = select(CHECKS, given.only)
    out = console(given.json)
    if given.list:
        out.print(table("", ["check", "rule"], [(check.name, check.rule) for check in checks]))
        return 0
    if not given.target:
        raise InvalidArgumentError("say which oracle to check: --target HOST:PORT")
    with Lab(_settings(given)) as lab:
        report = run_checks(lab, checks, on_result=lambda result: _show(out, result))
    failed = [result for result in report.results if result.outcome == "failed"]
    for result in failed:
        _explain(out, result)
    counts = ", ".join(f"{report.count(outcome)} {outcome}" for outcome in ("passed", "failed", "skipped"))
    verdict = "conforms" if report.conforms else "does not conform"
    out.print(f"\n{given.target} {verdict}: {counts}")
    write_json(given.json, report.to_dict())
    return 0 if report.conforms else 1


def _settings(given: argparse.Namespace) -> LabSettings:
    return LabSettings(
        target=given.target,
        crystals=_crystals(given.crystals) if given.crystals else (),
        quick=given.quick,
        timeout_s=given.timeout,
        energy_tolerance=given.energy_tolerance,
        options=options_of(given, attempts=1),
    )


def _crystals(path: Path) -> list[Crystal]:
    items = read_paths([str(path)])
    problem = next((item.problem for item in items if item.problem is not None), None)
    if problem is not None:
        raise problem
    crystals = [item.crystal for item in items if item.crystal is not None]
    if not crystals:
        raise InvalidArgumentError(f"{path} holds no crystal")
    return crystals


def _show(out: Any, result: Result) -> None:
    note = f"  {result.reason}" if result.outcome == "skipped" else ""
    line = f"{result.outcome:8}{result.check.name:36}{result.seconds:6.1f} s{note}"
    out.print(line, style=_STYLES[result.outcome], markup=False)


def _explain(out: Any, result: Result) -> None:
    check: Check = result.check
    out.print(f"\n{check.name}", style="bold red", markup=False)
    out.print(f"  rule     {check.rule}", markup=False)
    out.print(f"  broken   {result.reason}", markup=False)
    if result.request:
        out.print(f"  request  {result.request}", markup=False)
