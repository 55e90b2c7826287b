"""Scoring for the commands: progress, partial results on disk, and the files that were asked for."""

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from xenolith.analysis import TABLE_SUFFIXES, score_in_pieces, write_page, write_table
from xenolith.cli.progress import Progress
from xenolith.client import Client, Score, Scores
from xenolith.convert import Item
from xenolith.errors import InvalidArgumentError
from xenolith.files import without_nan

__all__ = ["add_out", "add_periodic", "check_out", "score_with_progress", "write_out"]

_PAGES = (".html", ".htm")


def add_out(parser: argparse.ArgumentParser) -> None:
    """Add ``--out FILE``, which may be given several times."""
    parser.add_argument(
        "--out",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="write the scores to FILE.csv, .parquet, .json or .html (a page with plots); may be repeated",
    )


def add_periodic(parser: argparse.ArgumentParser) -> None:
    """Add ``--periodic``."""
    parser.add_argument(
        "--periodic",
        action="store_true",
        help="take atoms too that say that they are not periodic (pbc), as if they were",
    )


def check_out(targets: Sequence[Path]) -> None:
    """Refuse, before anything is computed, files that could not be written.

    Raises
    ------
    InvalidArgumentError
        For an unknown suffix.
    """
    for target in targets:
        if target.suffix not in (*TABLE_SUFFIXES, *_PAGES):
            known = ", ".join((*TABLE_SUFFIXES, _PAGES[0]))
            raise InvalidArgumentError(f"--out {target}: no known kind of file; its name must end in {known}")


def write_out(targets: Sequence[Path], scores: Scores, title: str) -> None:
    """Write every file that was asked for."""
    for target in targets:
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.suffix in _PAGES:
            write_page(target, scores, title)
        else:
            write_table(target, scores.scores)


def score_with_progress(
    client: Client, items: Sequence[Item], how: Mapping[str, Any], targets: Sequence[Path], out: Any
) -> Scores:
    """Score in pieces; with files asked for, finished structures are on disk before the next piece begins."""
    with _partial(targets, out) as partial, Progress(out) as progress:
        done = 0

        def on_piece(scores: Sequence[Score]) -> None:
            nonlocal done
            done += len(scores)
            if partial is not None:
                lines = (json.dumps(without_nan(score.to_dict()), allow_nan=False) for score in scores)
                partial.write("".join(f"{line}\n" for line in lines))
                partial.flush()
            progress.update("scored", done, len(items))

        return score_in_pieces(client, items, **how, on_piece=on_piece)


@contextmanager
def _partial(targets: Sequence[Path], out: Any) -> Iterator[TextIO | None]:
    """A file of JSON lines beside the first target; it goes once the scoring is complete."""
    if not targets:
        yield None
        return
    path = targets[0].with_name(f"{targets[0].name}.partial.jsonl")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("w", encoding="utf-8") as stream:
            yield stream
    except BaseException:
        out.print(f"not finished; what was scored is in {path}", markup=False)
        raise
    path.unlink()
