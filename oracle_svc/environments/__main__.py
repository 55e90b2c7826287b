"""Environments of calculators, from the shell: `python -m oracle_svc.environments --help`."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence

from oracle_svc.environments.catalogue import CATALOGUE
from oracle_svc.environments.make import EnvironmentFailedError, environments_folder, find, make

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """List, make or remove."""
    parser = argparse.ArgumentParser(
        prog="python -m oracle_svc.environments",
        description="Virtual environments of calculators whose libraries clash with the rest. Each is made"
        " when a calculator first needs it; make it beforehand for a machine without network.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="what there is")
    for name, help_ in (("make", "make it, if it is not there"), ("remove", "remove it")):
        commands.add_parser(name, help=help_).add_argument("name", choices=sorted(CATALOGUE))
    given = parser.parse_args(arguments)
    if given.command == "list":
        for spec in CATALOGUE.values():
            where = "in this interpreter" if spec.is_here() else find(spec) or "not made yet"
            sys.stdout.write(f"{spec.name}: {where} ({', '.join(spec.requirements[:1])}; {spec.why})\n")
        return 0
    spec = CATALOGUE[given.name]
    if given.command == "remove":
        shutil.rmtree(environments_folder() / spec.folder, ignore_errors=True)
        return 0
    try:
        sys.stdout.write(f"{make(spec, on_line=_say)}\n")
    except EnvironmentFailedError as error:
        parser.exit(1, f"{error}\n")
    return 0


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
