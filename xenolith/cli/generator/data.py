"""``xenolith data``: public sets of crystals, and whether a set of your own can be trained on."""

import argparse
from pathlib import Path
from typing import Any

from xenolith.cli.output import add_json, console, number, table, write_json
from xenolith.cli.progress import Progress
from xenolith.datasets import DATASETS, AlexMp20Source, Mp20Source, fetch_alex_mp_20, fetch_mp20
from xenolith.errors import InvalidArgumentError
from xenolith.files import read_toml
from xenolith.optional import require

__all__ = ["add_parser", "run"]

_LICENCES = {
    "mp-20": "data of the Materials Project, CC BY 4.0",
    "alex-mp-20": "data of Alexandria (Schmidt et al. 2022) and the Materials Project, CC BY 4.0",
}


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "data", help="fetch and describe sets of crystals", description="Fetch and describe sets of crystals."
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    fetch = actions.add_parser(
        "fetch",
        help="download a set and convert it to parquet",
        description="Download a set from where its authors publish it, verify it, and convert it to parquet. "
        "mp-20: 45,229 crystals of the Materials Project, from the CDVAE repository. alex-mp-20: those and "
        "Alexandria's near the hull, about 675,000, from the MatterGen repository (187 MB). Both CC BY 4.0.",
    )
    fetch.add_argument("name", choices=list(DATASETS), help="which set")
    fetch.add_argument("--out", type=Path, default=Path("data"), help="folder (default: data)")
    fetch.add_argument("--files-url", help="mp-20: another place with the same files")
    fetch.add_argument("--listing-url", help="mp-20: and where their ids are listed")
    fetch.add_argument("--lfs-url", help="alex-mp-20: another Git LFS server with the same archive")
    fetch.add_argument(
        "--archive", type=Path, help="alex-mp-20: alex_mp_20.zip, where it is on this machine already"
    )
    add_json(fetch, "where the file is")
    describe = actions.add_parser(
        "describe",
        help="what a set holds, and how much of it can be trained on",
        description="Read a set as pretraining does, and say what is in it and what would be left out.",
    )
    describe.add_argument(
        "source", type=Path, help="file, folder, or name of a set; or CONFIG.toml with [data]"
    )
    describe.add_argument("--max-atoms", type=int, help="as data.max_atoms (default: 20)")
    add_json(describe, "the description")
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """Fetch or describe."""
    return {"fetch": _fetch, "describe": _describe}[given.action](given)


def _fetch(given: argparse.Namespace) -> int:
    out = console(given.json)
    mirrors = {"mp-20": ("files_url", "listing_url"), "alex-mp-20": ("lfs_url", "archive")}
    for name, options in mirrors.items():
        wrong = [option for option in options if name != given.name and getattr(given, option) is not None]
        if wrong:
            raise InvalidArgumentError(
                f"--{wrong[0].replace('_', '-')} goes with {name}, not with {given.name}"
            )
    with Progress(out) as progress:
        path = _mp20(given, progress) if given.name == "mp-20" else _alex(given, progress)
    write_json(given.json, {"name": given.name, "file": str(path)})
    out.print(f"{path}; {_LICENCES[given.name]}")
    return 0


def _mp20(given: argparse.Namespace, progress: Progress) -> Path:
    source = Mp20Source(
        listing=given.listing_url or Mp20Source.listing, files=given.files_url or Mp20Source.files
    )
    return fetch_mp20(given.out, source=source, on_progress=progress.update)


def _alex(given: argparse.Namespace, progress: Progress) -> Path:
    source = AlexMp20Source(lfs=given.lfs_url or AlexMp20Source.lfs)
    return fetch_alex_mp_20(given.out, source=source, archive=given.archive, on_progress=progress.update)


def _describe(given: argparse.Namespace) -> int:
    module: Any = require("generator_svc.data.describe", "generator")
    document = {"path": str(given.source)}
    if given.source.suffix == ".toml":
        document = dict(read_toml(given.source).get("data", {}))
    if given.max_atoms is not None:
        document["max_atoms"] = given.max_atoms
    found: dict[str, Any] = module.describe(document)
    write_json(given.json, found)
    if given.json != "-":
        _print(console(), found)
    return 0


def _print(out: Any, found: dict[str, Any]) -> None:
    rows = [("crystals", found["crystals"]), (f"of at most {found['max_atoms']} atoms", found["fit"])]
    rows += [(f"left out: {reason}", entry["count"]) for reason, entry in found["left_out"].items()]
    rows += [(f"part {part}", count) for part, count in found["parts"].items()]
    out.print(table(f"{found['source']}", ["", "crystals"], [(name, f"{count:,}") for name, count in rows]))
    for reason, entry in found["left_out"].items():
        out.print(f"{reason}, for instance: {entry['example']}")
    most = max(found["atom_counts"].values())
    bars = [
        (count, f"{many:,}", "#" * max(1, round(40 * many / most)))
        for count, many in found["atom_counts"].items()
    ]
    histogram = table("atoms of the cells that fit", ["atoms", "crystals", "share"], bars)
    histogram.columns[2].justify = "left"
    out.print(histogram)
    out.print(f"{len(found['elements'])} elements: " + " ".join(found["elements"]))
    labels = [
        (name, f"{c['labelled']:,}", *(number(c[key]) for key in ("mean", "std", "min", "max")))
        for name, c in found["columns"].items()
    ]
    out.print(table("columns of numbers", ["column", "labelled", "mean", "std", "min", "max"], labels))
