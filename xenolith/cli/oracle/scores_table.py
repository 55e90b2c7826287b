"""Scores on the terminal."""

from collections import ChainMap, Counter
from collections.abc import Mapping, Sequence
from typing import Any

from xenolith.cli.output import number, table
from xenolith.client import Score, Scores
from xenolith.contract.structure_messages import StructureMessage

__all__ = ["show_notes", "show_scores"]

_MOST_ROWS = 50
_LONGEST_SOURCE = 44


def show_scores(out: Any, scores: Scores) -> None:
    """Print scores as a table, and what is wrong with whom."""
    columns = ["structure", "formula", "status", "E (eV/atom)", "above hull", "unique", "novel", "nearest"]
    rows = [_row(score) for score in scores[:_MOST_ROWS]]
    # Judges stand right of the energies that they are to confirm.
    judges = list(dict.fromkeys(audit.calculator_id for score in scores for audit in score.audits))
    if judges:
        columns[5:5] = [f"by {judge}" for judge in judges]
        rows = [
            (*row[:5], *_judged(score, judges), *row[5:])
            for row, score in zip(rows, scores[:_MOST_ROWS], strict=True)
        ]
    if any(score.relaxation is not None for score in scores):
        columns[5:5] = ["relaxed E", "relaxed above hull"]
        rows = [
            (*row[:5], *_relaxed(score), *row[5:])
            for row, score in zip(rows, scores[:_MOST_ROWS], strict=True)
        ]
    out.print(table("", columns, rows))
    if len(scores) > _MOST_ROWS:
        out.print(f"... and {len(scores) - _MOST_ROWS} more: --out FILE.csv or .html has all")
    files = {index: score.source for index, score in enumerate(scores) if not score.source.isdigit()}
    for index, score in enumerate(scores):
        if score.message:
            out.print(_message(index, score, files), markup=False)
    show_notes(out, {score.source: score.notes for score in scores if score.notes})
    for warning in scores.warnings:
        out.print(f"warning: {warning}", markup=False)
    counts = Counter(score.status for score in scores)
    told = ", ".join(f"{count} {name}" for name, count in counts.most_common())
    out.print(
        f"{told}; calculator {scores.provenance.calculator_id}, reference {scores.provenance.reference_id}"
    )


def show_notes(out: Any, notes: Mapping[str, Sequence[str]]) -> None:
    """Print what was assumed in reading structures, by source; a note of several is printed once."""
    sources: dict[str, list[str]] = {}
    for source, members in notes.items():
        for note in members:
            sources.setdefault(note, []).append(source)
    for note, named in list(sources.items())[:_MOST_ROWS]:
        more = f" and {len(named) - 1} more" if len(named) > 1 else ""
        out.print(f"note: {named[0]}{more}: {note}", markup=False)
    if len(sources) > _MOST_ROWS:
        out.print(f"... and {len(sources) - _MOST_ROWS} more notes: --json FILE has all")


def _short(source: str) -> str:
    # The end of a path tells more than its beginning.
    return source if len(source) <= _LONGEST_SOURCE else f"…{source[1 - _LONGEST_SOURCE :]}"


def _message(index: int, score: Score, files: dict[int, str]) -> str:
    """Return a structure's message with sources instead of numbers; its own comes first, and once."""
    names = ChainMap({index: score.source}, files)
    message = StructureMessage.of(score.message).with_names(names)
    return message if message.startswith(score.source) else f"{score.source}: {message}"


def _relaxed(score: Score) -> tuple[str, str]:
    if score.relaxation is None:
        return "-", "-"
    return number(score.relaxation.energy_per_atom), number(score.relaxation.e_above_hull)


def _judged(score: Score, judges: Sequence[str]) -> list[str]:
    above = {audit.calculator_id: audit.e_above_hull for audit in score.audits}
    return [number(above.get(judge)) for judge in judges]


def _row(score: Score) -> tuple[str, ...]:
    yes_no = {True: "yes", False: "no", None: "-"}
    return (
        _short(score.source),
        score.formula,
        score.status,
        number(score.energy_per_atom),
        number(score.e_above_hull),
        yes_no[score.unique],
        yes_no[score.novel],
        score.nearest_reference or "-",
    )
