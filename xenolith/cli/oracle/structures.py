"""The structures that a command is about: files, folders, or a run's candidates."""

import argparse
from pathlib import Path

from xenolith.convert import Item, read_paths
from xenolith.errors import InvalidArgumentError, NotFoundError

__all__ = ["add_structures", "read_structures"]

_CANDIDATES = "candidates.extxyz"


def add_structures(parser: argparse.ArgumentParser) -> None:
    """Add the structures, as `read_structures` takes them."""
    parser.add_argument(
        "paths", nargs="+", metavar="PATH|RUN", help="file or folder of structures, or a run: its candidates"
    )


def read_structures(given: argparse.Namespace) -> list[Item]:
    """Return the structures of paths and runs; a run's are the candidates that it claims.

    Raises
    ------
    InvalidArgumentError
        None of them can be read.
    NotFoundError
        There is no such file, folder or run.
    """
    paths = []
    for path in given.paths:
        is_run = (Path(path) / _CANDIDATES).is_file()
        folder = Path(path) if is_run else given.runs / path
        if Path(path).exists() and not is_run:
            paths.append(path)
        elif (folder / _CANDIDATES).is_file():
            paths.append(str(folder / _CANDIDATES))
        else:
            raise NotFoundError(
                f"{path} is no file or folder, and there are no candidates of such a run in {folder}"
            )
    items = read_paths(paths, periodic=given.periodic)
    if all(item.problem for item in items):
        problems = [str(item.problem) for item in items]
        raise InvalidArgumentError("; ".join(problems[:5]) or "no structures given")
    return items
