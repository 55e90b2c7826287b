"""The options of ``xenolith reference``."""

import argparse
import json
from pathlib import Path
from typing import Any

from xenolith.cli.oracle.scoring import add_periodic
from xenolith.cli.output import add_json

__all__ = ["KEY_VARIABLE", "add_build", "add_import"]

KEY_VARIABLE = "MP_APIKEY"
"""Variable that holds the user's key for the Materials Project."""
_MP2020 = "MP2020-corrected GGA/GGA+U"


def add_build(actions: Any) -> argparse.ArgumentParser:
    """Add `reference build`; return its parser."""
    build: argparse.ArgumentParser = actions.add_parser(
        "build",
        help="from your own structures",
        description="Build a reference from CIF, POSCAR, extxyz and parquet files, or folders of them. A"
        " build that was stopped goes on where it was. Files that cannot be read are listed with the reason.",
    )
    build.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="known structures, file or folder")
    _add_out(build)
    add_periodic(build)
    build.add_argument("--work", type=Path, help="folder a stopped build goes on from (default: DIR.work)")
    build.add_argument(
        "--energies", action="store_true", help="compute energies, and the hull that follows from them"
    )
    build.add_argument("--calculator", default="chgnet", help="calculator of the energies (default: chgnet)")
    build.add_argument(
        "--calculator-settings", type=json.loads, default={}, metavar="JSON", help="its settings"
    )
    build.add_argument(
        "--state",
        type=Path,
        metavar="DIR",
        help="state folder in which results of DFT are kept and found, as of the oracle (default: the same)",
    )
    build.add_argument(
        "--elements", type=Path, nargs="*", default=[], metavar="PATH",
        help="further structures for the hull only, such as the elements; with --energies",
    )  # fmt: skip
    build.add_argument(
        "--hull", metavar="REFERENCE",
        help="take over the hull of this reference or bundle; --energies extends it by your structures",
    )  # fmt: skip
    build.add_argument(
        "--no-structures", action="store_true",
        help="keep no structures: smaller, but novelty cannot be judged by StructureMatcher",
    )  # fmt: skip
    build.add_argument(
        "--amd-tolerance", type=float, help="AMD distance of the same crystal, Angstrom (default: calibrated)"
    )
    add_json(build, "the manifest, and what was left out")
    return build


def add_import(actions: Any) -> list[argparse.ArgumentParser]:
    """Add `reference import`; return the parser of each source."""
    sources = actions.add_parser(
        "import",
        help="a hull from a data base",
        description="Import a hull. It serves calculators that declare its energy scheme.",
    ).add_subparsers(dest="source", required=True, metavar="SOURCE")
    mp = sources.add_parser(
        "mp",
        help="entries of the Materials Project",
        description="Corrected energies of the Materials Project, over its API with your own key, or from a"
        f" JSON file of computed entries. The key is read from --api-key-file, or else from {KEY_VARIABLE}.",
    )
    mp.add_argument("--chemsys", nargs="*", default=[], metavar="A-B", help="chemical systems (default: all)")
    mp.add_argument("--entries", type=Path, metavar="FILE", help="JSON (.gz) of entries instead of the API")
    mp.add_argument("--api-key-file", type=Path, metavar="FILE", help="file that holds your API key")
    mp.add_argument(
        "--thermo-type", default="GGA_GGA+U", help="GGA_GGA+U (default), R2SCAN, GGA_GGA+U_R2SCAN"
    )
    mp.add_argument(
        "--split",
        action="store_true",
        help="of a file with entries of several functionals, take those of --thermo-type alone",
    )
    mp.add_argument("--url", default="https://api.materialsproject.org", help="another API of this kind")
    table_ = sources.add_parser(
        "formation-energies",
        help="a table of formation energies",
        description="CSV (.gz) with the columns material_id, formula, formation_energy_per_atom (eV/atom).",
    )
    table_.add_argument("file", type=Path, metavar="FILE", help="the table")
    table_.add_argument(
        "--elements", type=Path, metavar="FILE",
        help="JSON (.gz) of computed entries of the elements: gives total energies, on whose hull calculators"
        " of the scheme can be placed",
    )  # fmt: skip
    table_.add_argument("--scheme", default=_MP2020, help=f"scheme of the energies (default: {_MP2020})")
    for parser in (mp, table_):
        _add_out(parser)
        add_json(parser, "the manifest, and what was left out")
    return [mp, table_]


def _add_out(parser: Any) -> None:
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the reference")
    parser.add_argument("--name", help="short name, the first part of the id (default: that of the folder)")
    parser.add_argument("--licence", default="", help="SPDX id of the data's licence")
    parser.add_argument("--attribution", default="", help="whom to name")
    parser.add_argument("--overwrite", action="store_true", help="replace the reference that is there")
