"""An audit on one page: scored against audited energies, and what stands out. It needs no network."""

from __future__ import annotations

from html import escape

import numpy as np

from xenolith.analysis.audit_report import CLAIMS, AuditReport
from xenolith.headlines import METASTABLE_BELOW

__all__ = ["picture"]

_SIZE, _LEFT, _BOTTOM, _TOP = 460, 58, 44, 12
_MOST_POINTS = 4000
_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;color:#1d2733;max-width:60rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.3rem}table{border-collapse:collapse;margin:1rem 0}td,th{padding:.2rem .8rem;text-align:right;
border-bottom:1px solid #e3e8ee}td:first-child,th:first-child{text-align:left}.flag{color:#b3261e}
p.hint{color:#5b6877}svg text{font:12px system-ui,sans-serif;fill:#5b6877}.grid{display:flex;gap:2rem;
flex-wrap:wrap;align-items:flex-start}
"""


def picture(report: AuditReport) -> str:
    """Return the page (HTML)."""
    title = f"{report.scoring_calculator} audited by {report.calculator}"
    body = (
        f"<h1>{escape(title)}</h1><p class='hint'>{escape(_basis(report))}</p>"
        f"<div class='grid'>{_scatter(report)}{_figures(report)}</div>"
        f"<h2>Largest disagreements</h2>{_worst(report)}"
        + "".join(f"<p class='flag'>{escape(text)}</p>" for text in report.warnings)
    )
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>{body}</body></html>\n"
    )


def _basis(report: AuditReport) -> str:
    if report.basis == "hull":
        return "Energies above hull, eV/atom, each calculator above its own hull; unrelaxed structures."
    return (
        "The auditor has no hull: its energies are compared after an offset per element was fitted, so that "
        "single structures stand out but shifts and claims mean nothing."
    )


def _scatter(report: AuditReport) -> str:
    points = report.points
    if not points:
        return "<p>Nothing was measured by both.</p>"
    # Flagged points come last: they are kept, and drawn on top.
    shown = points[-_MOST_POINTS:]
    # What is flagged may lie anywhere: it is drawn at the edge, and does not squeeze the others.
    calm = [point[:2] for point in shown if not point[2]] or [point[:2] for point in shown]
    values = np.array(calm, dtype=np.float64)
    low = float(min(np.quantile(values, 0.01), -0.1)) - 0.05
    high = float(max(np.quantile(values, 0.99), METASTABLE_BELOW)) + 0.05

    def x(value: float) -> float:
        return _LEFT + (min(max(value, low), high) - low) / (high - low) * (_SIZE - _LEFT)

    def y(value: float) -> float:
        return _SIZE - _BOTTOM - (min(max(value, low), high) - low) / (high - low) * (_SIZE - _BOTTOM - _TOP)

    dots = "".join(
        f"<circle cx='{x(a):.1f}' cy='{y(b):.1f}' r='{4 if flag else 2.5}' "
        f"fill='{'#b3261e' if flag else '#2f6fb2'}' fill-opacity='{0.9 if flag else 0.45}'/>"
        for a, b, flag in shown
    )
    lines = f"<path d='M{x(low)},{y(low)}L{x(high)},{y(high)}' stroke='#9aa7b5' fill='none'/>"
    edge = METASTABLE_BELOW
    lines += f"<path d='M{x(edge)},{y(low)}V{y(high)}M{x(low)},{y(edge)}H{x(high)}' stroke='#c9d2dc' "
    lines += "stroke-dasharray='4 3' fill='none'/>"
    marks = "".join(
        f"<text x='{x(v):.0f}' y='{_SIZE - _BOTTOM + 16}' text-anchor='middle'>{v:.1f}</text>"
        f"<text x='{_LEFT - 6}' y='{y(v) + 4:.0f}' text-anchor='end'>{v:.1f}</text>"
        for v in np.linspace(low + 0.05, high - 0.05, 5)
    )
    names = (
        f"<text x='{(_SIZE + _LEFT) / 2:.0f}' y='{_SIZE - 6}' text-anchor='middle'>"
        f"{escape(report.scoring_calculator)}, eV/atom above hull</text>"
        f"<text transform='translate(13 {_SIZE / 2:.0f}) rotate(-90)' text-anchor='middle'>"
        f"{escape(report.calculator)}</text>"
    )
    return f"<svg width='{_SIZE}' height='{_SIZE}' role='img'>{lines}{dots}{marks}{names}</svg>"


def _figures(report: AuditReport) -> str:
    rows = [
        ("structures, measured by both", f"{report.structures}, {report.measured}"),
        ("Spearman, Kendall", f"{_number(report.spearman)}, {_number(report.kendall)}"),
        ("mean, median shift", f"{_number(report.mean_shift)}, {_number(report.median_shift)} eV/atom"),
        ("spread (robust)", f"{_number(report.spread)} eV/atom"),
        *[(f"{name} claims surviving", _survival(report, name)) for name in CLAIMS],
        ("flagged", str(report.flagged)),
    ]
    rows += [
        (f"quantile {level}", f"{scored:.3f} / {audited:.3f}")
        for level, (scored, audited) in report.quantiles.items()
    ]
    cells = "".join(f"<tr><td>{escape(name)}</td><td>{escape(text)}</td></tr>" for name, text in rows)
    return f"<table>{cells}</table>"


def _worst(report: AuditReport) -> str:
    head = "<tr><th>structure</th><th>formula</th><th>scored</th><th>audited</th><th></th></tr>"
    rows = "".join(
        f"<tr class='{'flag' if item.flagged else ''}'><td>{escape(item.source)}</td>"
        f"<td>{escape(item.formula)}</td><td>{item.scored:.3f}</td><td>{item.audited:.3f}</td>"
        f"<td style='text-align:left'>{escape(item.reason)}</td></tr>"
        for item in report.worst
    )
    return f"<table>{head}{rows}</table>"


def _survival(report: AuditReport, name: str) -> str:
    claims = report.claims.get(name, 0)
    return f"{report.surviving[name]} of {claims}" if name in report.surviving else f"- of {claims}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
