"""``xenolith reference``: what the oracle measures novelty and stability against."""

import argparse
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from xenolith.cli.oracle.reference_options import KEY_VARIABLE, add_build, add_import
from xenolith.cli.oracle.scores_table import show_notes
from xenolith.cli.output import add_json, console, table, write_json
from xenolith.cli.progress import Progress
from xenolith.errors import InvalidArgumentError

__all__ = ["add_parser", "run", "state_folder"]

_MOST_SKIPPED = 10


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "reference",
        help="build, import or show a reference: known structures and a hull",
        description="What the oracle measures novelty and stability against: known structures, a convex hull,"
        " or both. Serve it with `xenolith up --reference DIR`.",
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    add_build(actions).set_defaults(run=_build)
    for source in add_import(actions):
        source.set_defaults(run=_import)
    show = actions.add_parser(
        "show", help="say what a reference holds", description="Say what a reference holds."
    )
    show.add_argument("reference", metavar="DIR", help="folder of a reference, or a bundle")
    add_json(show, "the manifest")
    show.set_defaults(run=_show)


def run(given: argparse.Namespace) -> int:
    """Build, import or show."""
    return int(given.run(given))


@contextmanager
def _calculator(given: argparse.Namespace) -> Iterator[Any]:
    """Yield what computes energies, None if nothing does; DFT runs as jobs, whose results stay."""
    from oracle_svc.calculators import open_calculator, takes_long

    if not given.energies:
        yield None
    elif takes_long(given.calculator, given.calculator_settings):
        from oracle_svc.pools.job_calculator import JobCalculator

        jobs = JobCalculator(given.calculator, given.calculator_settings, state=state_folder(given.state))
        try:
            yield jobs
        finally:
            jobs.close()
    else:
        yield open_calculator(given.calculator, **given.calculator_settings)


def state_folder(named: Path | None) -> Path:
    """Return the folder of DFT results: the one that is named, else that of an oracle started here.

    Raises
    ------
    InvalidArgumentError
        Such an oracle would keep none.
    """
    from oracle_svc.service.settings import OracleSettings

    if named is not None:
        return named
    state = OracleSettings.read(argparse.Namespace()).state
    if state == "none":
        raise InvalidArgumentError(
            "results of DFT need a folder: XENOLITH_ORACLE_STATE is none; name --state"
        )
    return Path(state)


def _build(given: argparse.Namespace) -> int:
    from oracle_svc.crystals.amd import DEFAULT_TOLERANCE
    from oracle_svc.known.build.from_files import FilesPlan, build_from_files
    from oracle_svc.service.startup import reference_paths

    out = console(given.json)
    plan = FilesPlan(
        paths=tuple(given.paths),
        out=given.out,
        work=given.work or given.out.with_name(given.out.name + ".work"),
        source=_source(given),
        amd_tolerance=DEFAULT_TOLERANCE if given.amd_tolerance is None else given.amd_tolerance,
        keep_structures=not given.no_structures,
        hull_extra=tuple(given.elements),
        periodic=given.periodic,
        hull=reference_paths(given.hull)[0] if given.hull else None,
        overwrite=given.overwrite,
    )
    with _calculator(given) as calculator, Progress(out) as progress:
        built = build_from_files(plan, calculator, progress=progress.update)
    _tell(out, given, built.info, dict(built.skipped), dict(built.notes))
    for element, count in built.uncovered.items():
        out.print(
            f"the hull leaves out {count} compounds of {element}, which has no phase of its own", markup=False
        )
    return 0


def _import(given: argparse.Namespace) -> int:
    from oracle_svc.known.imports import write_hull
    from oracle_svc.known.imports.base import MATERIALS_PROJECT

    out = console(given.json)
    _refuse_taken(given)
    with Progress(out) as progress:
        imported = _imported(given, progress)
    given.licence = given.licence or "CC-BY-4.0"
    given.attribution = given.attribution or MATERIALS_PROJECT
    info = write_hull(imported, given.out, _source(given))
    _tell(out, given, info, dict(imported.skipped), {str(given.out): list(imported.notes)})
    return 0


def _imported(given: argparse.Namespace, progress: Progress) -> Any:
    from oracle_svc.known import imports

    if given.source == "formation-energies":
        elements = imports.elemental_energies(given.elements) if given.elements else None
        return imports.read_formation_energies(given.file, scheme=given.scheme, elements=elements)
    scheme = imports.THERMO_TYPES.get(given.thermo_type)
    if scheme is None:
        raise InvalidArgumentError(f"--thermo-type is one of {', '.join(imports.THERMO_TYPES)}")
    if given.entries:
        return imports.read_entries(given.entries, scheme=scheme, split=given.split)
    query = imports.MpQuery(
        key=_key(given), chemical_systems=tuple(given.chemsys), thermo_type=given.thermo_type, url=given.url
    )
    return imports.fetch_entries(query, progress=progress.update)


def _key(given: argparse.Namespace) -> str:
    if given.api_key_file:
        return str(given.api_key_file.read_text().strip())
    if key := os.environ.get(KEY_VARIABLE, "").strip():
        return key
    raise InvalidArgumentError(
        f"the Materials Project needs your API key: --api-key-file FILE, or the variable {KEY_VARIABLE}"
        " (https://next-gen.materialsproject.org/api); or give --entries FILE"
    )


def _refuse_taken(given: argparse.Namespace) -> None:
    if (given.out / "reference.json").exists() and not given.overwrite:
        raise InvalidArgumentError(f"{given.out} is a reference already: name another folder, or --overwrite")


def _source(given: argparse.Namespace) -> Any:
    from oracle_svc.known.reference.write import DataSource

    name = given.name or given.out.resolve().name
    return DataSource(name=name, hull_name=name, licence=given.licence, attribution=given.attribution)


def _tell(
    out: Any,
    given: argparse.Namespace,
    info: dict[str, Any],
    skipped: dict[str, str],
    notes: dict[str, list[str]],
) -> None:
    told = {"reference": str(given.out), "manifest": info, "skipped": skipped, "notes": notes}
    write_json(given.json, told)
    if given.json == "-":
        return
    for name, why in list(skipped.items())[:_MOST_SKIPPED]:
        out.print(f"left out {name}: {why}", markup=False)
    if len(skipped) > _MOST_SKIPPED:
        out.print(f"... and {len(skipped) - _MOST_SKIPPED} more; --json FILE lists all")
    show_notes(out, notes)
    out.print(_summary(given.out, info))


def _show(given: argparse.Namespace) -> int:
    from oracle_svc.known.reference.folder import Reference
    from oracle_svc.service.startup import reference_paths

    paths = reference_paths(given.reference)
    if not paths:
        raise InvalidArgumentError("name the folder of a reference, or a bundle")
    reference = Reference.read(paths[0])
    write_json(given.json, reference.info)
    if given.json != "-":
        console(given.json).print(_summary(paths[0], reference.info))
    return 0


def _summary(path: Path, info: dict[str, Any]) -> Any:
    """Table of what a manifest says."""
    calculator, hull = info.get("calculator") or {}, info.get("hull") or {}
    rows = [
        ("id", info["id"]),
        ("structures", f"{(info.get('structures') or {}).get('count', 0):,}"),
        ("kept for StructureMatcher", "yes" if info.get("crystals") else "no"),
        ("AMD tolerance", f"{info['settings']['amd_tolerance']:g} Å"),
        ("hull", hull.get("id", "none")),
        ("hull made of", f"{hull['entries']:,} entries, {hull['vertices']:,} vertices" if hull else "-"),
        ("hull covers", f"{len(hull['elements'])} elements" if hull else "-"),
        ("energies", calculator.get("id", "none")),
        ("energy scheme", calculator.get("scheme", "-")),
        ("licence", "; ".join(filter(None, (info["licence"], info["attribution"]))) or "-"),
    ]
    return table(str(path), ["", ""], rows)
