"""``xenolith data``: public sets of crystals."""

import argparse
from pathlib import Path
from typing import Any

from xenolith.cli._output import add_json, console, write_json
from xenolith.cli._progress import Progress
from xenolith.datasets import Mp20Source, fetch_mp20

__all__ = ["add_parser", "run"]


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "data", help="fetch public sets of crystals", description="Fetch sets of crystals."
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    fetch = actions.add_parser(
        "fetch",
        help="download a set and convert it to parquet",
        description="Download a set from where its authors publish it, verify it, and convert it to parquet. "
        "mp-20: 45,229 crystals of the Materials Project (CC BY 4.0), from the CDVAE repository.",
    )
    fetch.add_argument("name", choices=["mp-20"], help="which set")
    fetch.add_argument("--out", type=Path, default=Path("data"), help="folder (default: data)")
    fetch.add_argument("--files-url", default=Mp20Source.files, help="another place with the same files")
    fetch.add_argument("--listing-url", default=Mp20Source.listing, help="and where their ids are listed")
    add_json(fetch, "where the file is")
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """Fetch."""
    out = console(given.json)
    source = Mp20Source(listing=given.listing_url, files=given.files_url)
    with Progress(out) as progress:
        path = fetch_mp20(given.out, source=source, on_progress=progress.update)
    write_json(given.json, {"name": given.name, "file": str(path)})
    out.print(f"{path}; data of the Materials Project, CC BY 4.0")
    return 0
