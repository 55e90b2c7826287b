"""Results for people on the terminal, for programs as JSON."""

import argparse
import json
import math
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from xenolith.files import without_nan
from xenolith.optional import require

_WIDTH = 150

__all__ = ["add_json", "add_new_folder", "console", "number", "table", "write_json"]


def add_json(parser: argparse.ArgumentParser, what: str) -> None:
    """Add ``--json FILE``."""
    parser.add_argument("--json", metavar="FILE", help=f"write {what} as JSON; - for the terminal")


def add_new_folder(parser: argparse.ArgumentParser) -> None:
    """Add ``--out DIR`` of a command that writes a folder of its own."""
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder to write; must not be there yet"
    )


def write_json(target: str | None, data: Any) -> None:
    """Write `data` to a file, or to stdout for ``-``; nothing for None. NaN becomes null: JSON has none."""
    if target is None:
        return
    text = json.dumps(without_nan(data), indent=2, allow_nan=False) + "\n"
    if target == "-":
        sys.stdout.write(text)
    else:
        path = Path(target)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def console(json_target: str | None = None) -> Any:
    """Return rich's console on stdout, on stderr if stdout carries JSON."""
    rich: Any = require("rich.console", "cli")
    out = rich.Console(stderr=json_target == "-", soft_wrap=True, highlight=False)
    if not out.is_terminal:
        out.width = _WIDTH  # a file or a pipe has no width of its own, and 80 columns break tables
    return out


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Any:
    """Return a rich table of plain texts; all columns but the first are right-aligned."""
    rich: Any = require("rich.table", "cli")
    plain: Any = require("rich.text", "cli")
    result = rich.Table(title=title or None, title_justify="left", header_style="bold")
    for index, column in enumerate(columns):
        result.add_column(
            column, justify="left" if index == 0 else "right", no_wrap=True, overflow="ellipsis"
        )
    for row in rows:
        # Brackets in names of files are no markup.
        result.add_row(*(plain.Text(cell) for cell in row))
    return result


def number(value: float | None, digits: int = 3, unit: str = "") -> str:
    """Return a number for people, ``-`` where there is none."""
    if value is None or math.isnan(value):
        return "-"
    return f"{value:.{digits}f}{unit}"
