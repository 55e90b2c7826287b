"""A page to look at scores: shares, three pictures, and every structure in a table. Needs no network."""

import io
from collections import Counter
from collections.abc import Callable, Sequence
from html import escape
from importlib import resources
from pathlib import Path
from typing import Any

from xenolith.analysis.tables import columns_of
from xenolith.client import Score, Scores
from xenolith.files import write_bytes
from xenolith.headlines import METASTABLE_BELOW, headline
from xenolith.intervals import wilson
from xenolith.optional import require

__all__ = ["shares", "write_page"]

_INK, _GOOD, _PALE = "#1d2733", "#0f7c6c", "#c5ccd6"
_HULL_RANGE = (-0.2, 1.0)
_SHOWN = ("valid", "unique", "novel", "metastable", "stable", "msun")
"""Headlines on cards."""
_COLUMNS: tuple[tuple[str, Callable[[Score], str]], ...] = (
    ("structure", lambda s: s.source),
    ("formula", lambda s: s.formula),
    ("status", lambda s: s.status),
    ("E, eV/atom", lambda s: _number(s.energy_per_atom)),
    ("above hull, eV/atom", lambda s: _number(s.e_above_hull)),
    ("relaxed, eV/atom", lambda s: _number(s.relaxation.e_above_hull if s.relaxation else None)),
    ("unique", lambda s: _yes_no(s.unique)),
    ("novel", lambda s: _yes_no(s.novel)),
    ("nearest known", lambda s: s.nearest_reference or ""),
    ("AMD distance, A", lambda s: _number(s.amd_distance)),
    ("message", lambda s: s.message),
    ("notes", lambda s: "; ".join(s.notes)),
)


def write_page(path: Path, scores: Scores, title: str) -> None:
    """Write a self-contained HTML file, replacing it at once."""
    style = resources.files("xenolith.analysis").joinpath("page.css").read_text("utf-8")
    pictures = "".join(f"<figure>{picture}</figure>" for picture in _pictures(scores))
    html = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f"<title>{escape(title)} - Xenolith</title><style>{style}</style></head><body><main>"
        f"<h1>{escape(title)}</h1>{_cards(scores)}<div class='pictures'>{pictures}</div>"
        f"{_table(scores)}{_provenance(scores)}</main></body></html>"
    )
    write_bytes(path, html.encode())


def shares(scores: Sequence[Score]) -> dict[str, tuple[int, int]]:
    """Return, for each headline shown, how many structures have it and of how many it was measured.

    Structures that failed count as not having it: a share is of everything given.
    """
    columns = columns_of(scores)
    shown = [headline(name) for name in _SHOWN]
    return {
        metric.label: (int(metric.flags(columns).sum()), len(scores))
        for metric in shown
        if not metric.missing(columns)
    }


def _cards(scores: Scores) -> str:
    cards = []
    for name, (hits, total) in shares(scores).items():
        low, high = wilson(hits, total)
        cards.append(
            f"<div class='card'><span>{name}</span><b>{100 * hits / total:.1f} %</b>"
            f"<small>{hits} of {total}; {100 * low:.1f} to {100 * high:.1f} %</small></div>"
        )
    return f"<div class='cards'>{''.join(cards)}</div>"


def _pictures(scores: Scores) -> list[str]:
    hull = [(s.e_above_hull, s) for s in scores if s.e_above_hull is not None]
    pictures = [_picture(_draw_statuses, scores)]
    if hull:
        pictures.insert(0, _picture(_draw_hull, [energy for energy, _ in hull]))
    points = [(s.amd_distance, energy, bool(s.novel)) for energy, s in hull if s.amd_distance is not None]
    if points:
        pictures.append(_picture(_draw_novelty, points))
    return pictures


def _picture(draw: Callable[[Any, Any], None], data: Any) -> str:
    """One drawing as inline SVG."""
    figure_of: Any = require("matplotlib.figure", "cli")
    figure = figure_of.Figure(figsize=(4.6, 3.1), layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    draw(axes, data)
    target = io.StringIO()
    figure.savefig(target, format="svg", metadata={"Date": None})
    text = target.getvalue()
    return text[text.index("<svg") :]


def _draw_hull(axes: Any, energies: Sequence[float]) -> None:
    low, high = _HULL_RANGE
    clipped = [min(max(energy, low), high) for energy in energies]
    axes.hist(clipped, bins=48, range=_HULL_RANGE, color=_GOOD)
    axes.axvline(METASTABLE_BELOW, color=_INK, linewidth=0.8, linestyle="--")
    axes.set(xlabel="energy above hull, eV/atom (outliers in the end bins)", ylabel="structures")


def _draw_novelty(axes: Any, points: Sequence[tuple[float, float, bool]]) -> None:
    low, high = _HULL_RANGE
    for novel, colour, name in ((True, _GOOD, "novel"), (False, _PALE, "known")):
        chosen = [(x, min(max(y, low), high)) for x, y, flag in points if flag is novel]
        axes.scatter([x for x, _ in chosen], [y for _, y in chosen], s=9, color=colour, label=name)
    axes.axhline(METASTABLE_BELOW, color=_INK, linewidth=0.8, linestyle="--")
    axes.set(xlabel="AMD distance to the nearest known of its formula, A", ylabel="above hull, eV/atom")
    axes.legend(frameon=False)


def _draw_statuses(axes: Any, scores: Scores) -> None:
    counts = Counter(score.status for score in scores).most_common()
    names, values = [name for name, _ in counts][::-1], [count for _, count in counts][::-1]
    axes.barh(names, values, color=[_GOOD if name == "OK" else _PALE for name in names])
    axes.set(xlabel="structures")


def _table(scores: Scores) -> str:
    ordered = sorted(scores, key=lambda s: (s.e_above_hull is None, s.e_above_hull or 0.0))
    shown = [(name, cell) for name, cell in _COLUMNS if any(cell(score) for score in ordered)]
    head = "".join(f"<th>{escape(name)}</th>" for name, _ in shown)
    rows = "".join(
        "<tr>" + "".join(f"<td>{escape(cell(score))}</td>" for _, cell in shown) + "</tr>"
        for score in ordered
    )
    return f"<div class='scroll'><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"


def _provenance(scores: Scores) -> str:
    source = scores.provenance
    facts = {
        "calculator": f"{source.calculator_id} ({source.calculator_version})" if source.calculator_id else "",
        "reference": source.reference_id,
        "hull": source.hull_id,
        "settings": source.settings_digest,
        "oracle": source.service_version,
    }
    told = "; ".join(f"{name} {escape(value)}" for name, value in facts.items() if value)
    warned = "".join(f"<p>warning: {escape(warning)}</p>" for warning in scores.warnings)
    return f"<footer>{warned}<p>{told}. Metastable: below {METASTABLE_BELOW} eV/atom.</p></footer>"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _yes_no(value: bool | None) -> str:
    return {True: "yes", False: "no", None: ""}[value]
