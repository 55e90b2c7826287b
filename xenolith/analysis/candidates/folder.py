"""The folder of a selection: structures, inputs, tables, and a page that shows them."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from html import escape
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xenolith.analysis.candidates.examined import Examined
from xenolith.analysis.candidates.inputs import write_flow, write_inputs
from xenolith.analysis.candidates.prototype import SYMPREC
from xenolith.analysis.candidates.table import SourceOfColumn, name_of, rows_of, sources_of
from xenolith.convert import to_ase, write_cif
from xenolith.files import without_nan, write_bytes, write_csv, write_json
from xenolith.optional import require

if TYPE_CHECKING:
    from xenolith.client.results import Provenance

__all__ = ["write_candidates"]

_TURNED = "-75x,12y,0z"
_KINDS = (
    "eV/atom above the hull",
    "not relaxed",
    "prototype",
    "holds",
    "of the system",
    "known once relaxed, by AMD",
    "known once relaxed, by StructureMatcher",
)


def write_candidates(
    folder: Path,
    chosen: Sequence[Examined],
    *,
    rejected: Mapping[str, str],
    provenance: Provenance,
    title: str,
    warnings: Sequence[str] = (),
) -> None:
    """Write a selection.

    ``candidates.csv`` and ``candidates.json`` (rows, and the source of every column), ``columns.csv``,
    ``rejected.csv`` (why each other structure was left out), ``structures/*.cif`` with symmetry, ``inputs/``
    with a folder for each structure and one flow, and ``index.html``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows, sources = rows_of(chosen), sources_of(chosen, provenance)
    (folder / "structures").mkdir(exist_ok=True)
    names = [name_of(rank, one) for rank, one in enumerate(chosen, 1)]
    for name, one in zip(names, chosen, strict=True):
        write_cif(one.crystal, folder / "structures" / f"{name}.cif", symprec=SYMPREC)
        write_inputs(one.crystal, folder / "inputs" / name)
    if names:
        write_flow(names, folder / "inputs" / "atomate2_flow.py")
    document = {
        "title": title,
        "candidates": rows,
        "columns": [asdict(source) for source in sources],
        "provenance": asdict(provenance),
        "rejected": dict(rejected),
        "warnings": list(warnings),
    }
    write_json(folder / "candidates.json", without_nan(document))
    write_csv(folder / "candidates.csv", rows)
    write_csv(folder / "columns.csv", [asdict(source) for source in sources])
    left = [{"source": source, "reason": reason} for source, reason in rejected.items()]
    write_csv(folder / "rejected.csv", left)
    page = _page(title, chosen, names, rows, sources, rejected, warnings)
    write_bytes(folder / "index.html", page.encode())


def _page(
    title: str,
    chosen: Sequence[Examined],
    names: Sequence[str],
    rows: Sequence[Mapping[str, Any]],
    sources: Sequence[SourceOfColumn],
    rejected: Mapping[str, str],
    warnings: Sequence[str],
) -> str:
    style = resources.files("xenolith.analysis").joinpath("page.css").read_text("utf-8")
    figures = "".join(_figure(name, one) for name, one in zip(names, chosen, strict=True))
    reasons = Counter(_kind(reason) for reason in rejected.values()).most_common()
    left = "".join(f"<tr><td>{escape(kind)}</td><td>{count}</td></tr>" for kind, count in reasons)
    told = "".join(f"<p>warning: {escape(text)}</p>" for text in warnings)
    origin = [(s.column, s.unit, s.source, s.made_by) for s in sources]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f"<title>{escape(title)} - Xenolith</title><style>{style}</style></head><body><main>"
        f"<h1>{escape(title)}</h1><p>{len(chosen)} chosen, {len(rejected)} left out. Energies are above each"
        " judge's own hull, of structures that the first judge relaxed.</p>"
        f"<div class='pictures'>{figures}</div>"
        f"{_table(list(rows[0]) if rows else [], [list(row.values()) for row in rows])}"
        f"<h2>Where each column comes from</h2>{_table(['column', 'unit', 'source', 'made by'], origin)}"
        "<h2>Why others were left out</h2><div class='scroll'><table><tbody>"
        f"{left}</tbody></table></div>{told}</main></body></html>\n"
    )


def _table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "".join("<tr>" + "".join(f"<td>{_cell(value)}</td>" for value in row) + "</tr>" for row in rows)
    return f"<div class='scroll'><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4f}" if isinstance(value, float) else escape(str(value))


def _kind(reason: str) -> str:
    """A reason without the numbers and names of one structure, for counting."""
    for words in _KINDS:
        if words in reason:
            return words
    return reason.partition(":")[0]


def _figure(name: str, one: Examined) -> str:
    judged = "; ".join(
        f"{escape(judge)} {value:.3f}" for judge, value in one.judgements().items() if value is not None
    )
    return (
        f"<figure>{_drawing(one)}<figcaption><b>{escape(name)}</b> {escape(one.space_group)}"
        f"<br>{judged} eV/atom above hull</figcaption></figure>"
    )


def _drawing(one: Examined) -> str:
    """The cell, seen from aside, as inline SVG."""
    figure_of: Any = require("matplotlib.figure", "cli")
    plot: Any = require("ase.visualize.plot", "cli")
    figure = figure_of.Figure(figsize=(3.0, 2.6), layout="constrained")
    axes = figure.add_subplot()
    axes.set_axis_off()
    plot.plot_atoms(_filled(to_ase(one.crystal)), axes, rotation=_TURNED, radii=0.5)
    target = io.StringIO()
    figure.savefig(target, format="svg", metadata={"Date": None})
    text = target.getvalue()
    return text[text.index("<svg") :]


def _filled(atoms: Any) -> Any:
    """Atoms with those on faces and edges of the cell drawn on each side."""
    atoms.wrap(eps=1e-3)
    repeated = atoms.repeat((2, 2, 2))
    inside = (repeated.get_scaled_positions(wrap=False) * 2 < 1.0 + 1e-3).all(axis=1)
    shown = repeated[inside]
    shown.set_cell(atoms.cell, scale_atoms=False)
    return shown
