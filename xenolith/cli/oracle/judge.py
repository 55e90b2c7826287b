"""``xenolith judge``: a calculator made ready to judge, with a hull of its own, in one command."""

import argparse
import threading
import time
from pathlib import Path
from typing import Any

from xenolith.cli.oracle.calculator import prepare, settings_of
from xenolith.cli.output import add_json, console, write_json
from xenolith.cli.progress import Progress
from xenolith.client.local_stack import default_folder
from xenolith.conformance import CHECKS, Lab, LabSettings, run_checks, select
from xenolith.errors import FailedPreconditionError, InvalidArgumentError
from xenolith.stack import Stack, StackSettings

__all__ = ["add_parser", "run"]

_CHECKS = ("describe", "provenance", "sameness", "scores")
"""Themes of the contract that a new oracle is put to."""


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "judge",
        help="make a calculator ready to judge: what it needs, its checks, its hull, an oracle",
        description="Fetch what a calculator needs, put it to the rules that every calculator keeps, say how"
        " long its hull takes, build it, and serve. What was done before is not done again: stop it at any"
        " time, and run it again to go on.",
        epilog="Where the published file of a model cannot be fetched, the message says which file to get;"
        " give it with --model-file. Afterwards: xenolith score FILES --calculator NAME, xenolith audit RUN"
        " --calculator NAME.",
    )
    parser.add_argument("calculator", metavar="NAME", help="such as sevennet-l3i5, mace-mpa-0 or mace")
    parser.add_argument(
        "structures",
        nargs="+",
        type=Path,
        metavar="TABLE",
        help="parquet tables of the known structures (material_id, lattice, numbers, frac)",
    )
    parser.add_argument("--calculator-settings", default="{}", metavar="JSON", help="its settings")
    parser.add_argument(
        "--model-file",
        type=Path,
        metavar="FILE",
        help="the published file of the model, if it is here already",
    )
    parser.add_argument("--name", default="mp", help="short name of the hull's entries (default: mp)")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="folder of the hull; default: where oracles look for it"
    )
    parser.add_argument("--work", type=Path, metavar="DIR", help="folder for energies; default: DIR.work")
    parser.add_argument("--workers", type=int, metavar="N", help="processes; default: one per core")
    parser.add_argument(
        "--rehearse",
        type=int,
        metavar="N",
        help="take only N structures of each table, those of fewest elements: tries the way, its hull lies"
        " too high (needs --out)",
    )
    parser.add_argument("--estimate", action="store_true", help="say how long it takes, and build nothing")
    parser.add_argument("--serve", action="store_true", help="start an oracle with it, and stay until Ctrl-C")
    parser.add_argument("--reference", default="", help="what that oracle compares structures with")
    parser.add_argument(
        "--stack-dir", type=Path, default=default_folder(), help="folder of its log and cache"
    )
    add_json(parser, "calculator, hull and costs")
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """Prepare, check, build, serve."""
    from oracle_svc.calculators.validation.validate import validate_calculator
    from oracle_svc.known.build.hulls import HullPlan, build_hull, seconds_left
    from oracle_svc.pools.pooled_calculator import open_pooled
    from xenolith.serving import usable_cores

    out = console(given.json)
    settings = settings_of(given)
    folder = _folder(given, settings)
    plan = HullPlan(
        structures=tuple(given.structures),
        work=given.work or folder.with_name(f"{folder.name}.work"),
        out=folder,
        name=given.name,
        simplest=given.rehearse,
    )
    _prepare(given, settings, out)
    workers = given.workers or usable_cores()
    with open_pooled(given.calculator, settings, workers=workers) as calculator:
        report = validate_calculator(calculator)
        if not report.passed:
            raise FailedPreconditionError(f"it does not keep the rules of calculators:\n{report}")
        out.print(
            f"{calculator.id} {calculator.version}, {calculator.scheme}: keeps the rules of calculators"
        )
        total, left, seconds = seconds_left(plan, calculator)
        out.print(
            f"{total} structures, {total - left} of them done;"
            f" about {_duration(seconds)} on {workers} processes"
        )
        result: dict[str, Any] = {
            "calculator": calculator.id, "structures": total, "left": left, "seconds": round(seconds, 1)
        }  # fmt: skip
        if given.estimate:
            write_json(given.json, result)
            return 0
        began = time.monotonic()
        with Progress(out) as progress:
            info = build_hull(
                plan, calculator, progress=lambda done, of: progress.update("energies", done, of)
            )
    result |= {"hull": info["hull"], "folder": str(folder), "took_s": round(time.monotonic() - began, 1)}
    out.print(f"hull {info['hull']['id']} of {info['hull']['vertices']} vertices in {folder}", markup=False)
    if given.serve:
        return _serve(given, settings, folder, result, out)
    write_json(given.json, result)
    return 0


def _folder(given: argparse.Namespace, settings: dict[str, Any]) -> Path:
    """Where the hull goes."""
    from oracle_svc.known.reference.hull_folder import hulls_folder

    if given.out is not None:
        return Path(given.out)
    if settings or given.rehearse is not None:
        raise InvalidArgumentError(
            "--out is needed: a hull is found by the calculator's name only if it is whole and of the"
            " calculator as it is by default"
        )
    return hulls_folder() / str(given.calculator)


def _prepare(given: argparse.Namespace, settings: dict[str, Any], out: Any) -> None:
    if given.model_file is not None:
        from oracle_svc.calculators.mace.fetch import fetch

        fetch(given.calculator, source=given.model_file)
    prepare(given.calculator, settings, out)


def _duration(seconds: float) -> str:
    return f"{seconds / 3600:.1f} hours" if seconds >= 3600 else f"{seconds / 60:.1f} minutes"


def _serve(
    given: argparse.Namespace, settings: dict[str, Any], folder: Path, result: dict[str, Any], out: Any
) -> int:
    """Serve with it, once the oracle has kept the contract's main rules."""
    import json

    stack = Stack(
        StackSettings(
            services=("oracle",),
            home=given.stack_dir,
            announced=False,
            reference=given.reference,
            prefer_default_ports=True,
            environment={
                "XENOLITH_ORACLE_CALCULATOR": given.calculator,
                "XENOLITH_ORACLE_CALCULATOR_SETTINGS": json.dumps(settings),
                "XENOLITH_ORACLE_HULL": str(folder.resolve()),
                "XENOLITH_ORACLE_AUDIT": "none",
            },
        ),
        on_event=lambda line: out.print(line, markup=False),
    )
    with stack:
        address = stack.addresses["oracle"]
        with Lab(LabSettings(target=address, quick=True)) as lab:
            report = run_checks(lab, select(CHECKS, _CHECKS))
        broken = [f"{r.check.name}: {r.reason}" for r in report.results if r.outcome == "failed"]
        if broken:
            raise FailedPreconditionError("the oracle breaks rules of the contract: " + "; ".join(broken))
        out.print(f"the oracle keeps {report.count('passed')} rules of the contract; Ctrl-C stops it")
        write_json(given.json, result | {"address": address})
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            out.print("stopping")
    return 0
