"""Options shared by the command lines of benchmarks: ``--quick``, ``--json`` and the writing of figures."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["benchmark_parser", "parse", "publish"]


def benchmark_parser(module: str, description: str | None) -> argparse.ArgumentParser:
    """Parser of ``python -m benchmarks.<module>``; its help is the module's docstring as it stands."""
    parser = argparse.ArgumentParser(
        prog=f"python -m benchmarks.{module}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here as well")
    return parser


def parse(
    parser: argparse.ArgumentParser, arguments: Sequence[str] | None, *, quick: Mapping[str, Any]
) -> argparse.Namespace:
    """Parse; with ``--quick`` the values of `quick` are the defaults.

    Parameters
    ----------
    parser
        One of `benchmark_parser` with the benchmark's own options.
    arguments
        Those of the command line; None for the process's own.
    quick
        Option names, as attributes, and values so small that a run takes a minute or two: it shows that the
        benchmark works, its figures say little. An option that is given wins.
    """
    chosen = ", ".join(
        f"{name.replace('_', '-')} {' '.join(map(str, value)) if isinstance(value, list) else value}"
        for name, value in quick.items()
    )
    parser.add_argument("--quick", action="store_true", help=f"a check that it runs: {chosen}")
    given = parser.parse_args(arguments)
    if given.quick:
        parser.set_defaults(**quick)
        given = parser.parse_args(arguments)
    return given


def publish(figures: Mapping[str, Any], file: Path | None, **details: Any) -> None:
    """Print figures as JSON and write them, with `details` too long to print, to `file`."""
    sys.stdout.write(json.dumps(figures, indent=1, default=str) + "\n")
    if file is not None:
        file.write_text(json.dumps({**figures, **details}, indent=1, default=str) + "\n")
