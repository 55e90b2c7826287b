"""``xenolith candidates``: what to follow up in the laboratory or by DFT, with inputs ready to run."""

import argparse
from typing import Any

from xenolith.analysis.candidates import Criteria, Selection, examine, select, write_candidates
from xenolith.analysis.candidates.table import rows_of
from xenolith.cli.oracle.calculator import add_calculator, calculator_environment
from xenolith.cli.oracle.scoring import add_periodic
from xenolith.cli.oracle.structures import add_structures, read_structures
from xenolith.cli.output import add_json, add_new_folder, console, number, table, write_json
from xenolith.cli.progress import Progress
from xenolith.cli.services import add_service_arguments, services
from xenolith.convert import read_paths
from xenolith.elements import atomic_numbers
from xenolith.errors import InvalidArgumentError
from xenolith.files import expect_new, read_json

__all__ = ["add_parser", "run"]

_DEFAULTS = Criteria()


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "candidates",
        help="choose structures to follow up, and write inputs for VASP, Quantum ESPRESSO, GPAW and atomate2",
        description="Relax the most promising structures, have every judge of the oracle see them, compare"
        " them with its references and with your own folders by AMD and by StructureMatcher, and choose a"
        " spread of those that all judges put low.",
    )
    add_structures(parser)
    add_periodic(parser)
    add_new_folder(parser)
    parser.add_argument(
        "--known", nargs="+", default=[], metavar="PATH", help="files or folders of crystals that are known"
    )
    parser.add_argument("-n", "--count", type=_positive, default=_DEFAULTS.count, help="most to choose")
    parser.add_argument(
        "--pool", type=_positive, default=_DEFAULTS.pool, help=f"most to relax (default: {_DEFAULTS.pool})"
    )
    parser.add_argument(
        "--avoid",
        nargs="*",
        default=["radioactive"],
        metavar="ELEMENT",
        help="elements that none may hold: symbols, radioactive, f-block (default: radioactive)",
    )
    parser.add_argument(
        "--most-atoms", type=_positive, default=_DEFAULTS.most_atoms, metavar="N", help="largest cell"
    )
    parser.add_argument(
        "--below",
        type=float,
        default=_DEFAULTS.below,
        metavar="EV",
        help=f"every judge's limit, eV/atom above its hull (default: {_DEFAULTS.below:g})",
    )
    parser.add_argument(
        "--unbalanced",
        action="store_true",
        help="keep compositions too whose common oxidation states cannot balance",
    )
    parser.add_argument(
        "--per-prototype", type=_positive, default=_DEFAULTS.per_prototype, metavar="N",
        help=f"most of one prototype (default: {_DEFAULTS.per_prototype})",
    )  # fmt: skip
    parser.add_argument(
        "--per-system", type=_positive, default=_DEFAULTS.per_system, metavar="N",
        help=f"most of one chemical system (default: {_DEFAULTS.per_system})",
    )  # fmt: skip
    parser.add_argument(
        "--element-share", type=float, default=_DEFAULTS.element_share, metavar="SHARE",
        help=f"no element is in a larger share of the choice (default: {_DEFAULTS.element_share:g})",
    )  # fmt: skip
    add_calculator(parser)
    add_service_arguments(parser, "oracle")
    add_json(parser, "the choice, its columns' sources and what was left out")
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """Examine, choose, write; the status is 1 if nothing is left."""
    out = console(given.json)
    criteria = _criteria(given)
    expect_new(given.out)
    items = read_structures(given)
    known = read_paths(given.known) if given.known else []
    environment = {} if given.oracle else calculator_environment(given, out)
    with services(given, "oracle", out, environment=environment) as client, Progress(out) as progress:
        found = examine(client, items, criteria, known=known, progress=progress.update)
    chosen = select(found.examined, criteria)
    write_candidates(
        given.out,
        chosen.chosen,
        rejected={**found.rejected, **chosen.rejected},
        provenance=found.provenance,
        title=f"Candidates of {', '.join(given.paths)}",
        warnings=found.warnings,
    )
    if given.json:
        write_json(given.json, read_json(given.out / "candidates.json"))
    if given.json != "-":
        _show(out, chosen)
        for warning in found.warnings:
            out.print(f"warning: {warning}", markup=False)
        out.print(
            f"{len(chosen.chosen)} chosen of {len(items)}, {len(found.examined)} of them relaxed and still"
            f" new; page, tables, structures and inputs: {given.out}",
            markup=False,
        )
    return 0 if chosen.chosen else 1


def _criteria(given: argparse.Namespace) -> Criteria:
    if not 0 < given.element_share <= 1:
        raise InvalidArgumentError(f"--element-share is {given.element_share:g}; it must be in (0, 1]")
    try:
        avoid = atomic_numbers(given.avoid)
    except ValueError as error:
        raise InvalidArgumentError(f"--avoid: {error}") from error
    return Criteria(
        count=given.count,
        pool=given.pool,
        avoid=avoid,
        most_atoms=given.most_atoms,
        below=given.below,
        balanced=not given.unbalanced,
        per_prototype=given.per_prototype,
        per_system=given.per_system,
        element_share=given.element_share,
    )


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number from 1 on")
    return int(text)


def _show(out: Any, selection: Selection) -> None:
    if not selection.chosen:
        return
    judges = list(selection.chosen[0].judgements())
    columns = ["candidate", "space group", "prototype", *(f"above hull, {judge}" for judge in judges)]
    rows = [
        (row["name"], one.space_group, one.prototype, *(number(v) for v in one.judgements().values()))
        for row, one in zip(rows_of(selection.chosen), selection.chosen, strict=True)
    ]
    out.print(table("", columns, rows))
