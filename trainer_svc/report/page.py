"""The page of a report."""

import json
from html import escape
from importlib import resources

from plotly.offline import get_plotlyjs

from trainer_svc.report import sample_charts, step_charts
from trainer_svc.report.blocks import cards, comparison, gallery, provenance, verdict, warnings_list
from trainer_svc.report.data import ReportData, read_report_data
from trainer_svc.report.second_opinion import second_opinions
from trainer_svc.report.theme import Figure
from trainer_svc.runs.directory import RunDirectory
from xenolith.files import write_bytes
from xenolith.headlines import DEFINITIONS

__all__ = ["render", "write_report"]

_DRAW = """
for (const place of document.querySelectorAll(".chart")) {
  const figure = JSON.parse(place.firstElementChild.textContent);
  Plotly.newPlot(place, figure.data, figure.layout, {responsive: true, displayModeBar: false});
}
"""


def write_report(directory: RunDirectory) -> None:
    """Write ``report.html`` from what the run has so far; it needs no network and no other file."""
    write_bytes(directory.report, render(read_report_data(directory)).encode())


def render(data: ReportData) -> str:
    """Render a report to HTML."""
    body = [_head(data), verdict(data), cards(data), *_sections(data), _footer()]
    style = resources.files("trainer_svc.report").joinpath("style.css").read_text("utf-8")
    # Inlined once; every chart below is data for it.
    script = get_plotlyjs().replace("</script", "<\\/script")
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(data.run.name)} - Xenolith</title><style>{style}</style>"
        f"<script>{script}</script></head>"
        f"<body><main>{''.join(body)}</main><script>{_DRAW}</script></body></html>"
    )


def _head(data: ReportData) -> str:
    return (
        f'<header><div><p class="eyebrow">Xenolith run</p><h1>{escape(data.run.name)}</h1></div>'
        f'<div class="state">{data.run.steps_done} steps</div></header>'
    )


def _sections(data: ReportData) -> list[str]:
    parts = []
    if data.policies:
        parts.append(
            _section(
                "Base and tuned model, side by side",
                "Both sampled with the same seeds, atom counts and sampler; training never saw these samples;"
                " shares of all samples with bootstrap 95 % intervals, Wilson's where all samples agree.",
                comparison(data.policies),
            )
        )
    if audited := second_opinions(data.policies):
        hint = "Calculators that did not score judge the same samples, each above its own hull."
        parts.append(_section("Second opinion", hint, audited))
    if data.steps:
        parts.append(
            _grid(
                _chart(
                    "reward",
                    "Reward",
                    "Mean over each step's samples.",
                    step_charts.reward_curves(data.steps),
                ),
                _chart(
                    "metrics",
                    "Metrics during training",
                    "5-step means.",
                    step_charts.metric_curves(data.steps),
                ),
            )
        )
    if data.policies:
        parts.append(_grid(*_policy_charts(data)))
        parts.append(_gallery(data))
        parts.append(
            _chart(
                "elements", "Elements", "Samples holding each element.", sample_charts.elements(data.policies)
            )
        )
    parts.append(_grid(*_bottom(data)))
    parts.append(_section("Provenance", "What every number on this page rests on.", provenance(data)))
    return parts


def _policy_charts(data: ReportData) -> list[str]:
    return [
        _chart(
            "hull",
            "Stability",
            "Energy above hull of the samples, unrelaxed; what lies outside is in the outermost bars.",
            sample_charts.hull_histogram(data.policies),
        ),
        _chart(
            "pareto",
            "Novelty against stability",
            "Upper left is best. Lines: samples that no other beats in both.",
            sample_charts.pareto(data.policies),
        ),
    ]


def _bottom(data: ReportData) -> list[str]:
    parts = []
    if data.policies:
        counts = sample_charts.atom_counts(data.policies)
        parts.append(_chart("atoms", "Atoms in the cell", "Samples, and mSUN structures among them.", counts))
    if data.steps:
        text = "The importance ratio must be 1 (dashed: its limit) before the first update of every step."
        parts.append(_chart("health", "Health of the training", text, step_charts.health(data.steps)))
    if data.warnings:
        parts.append(_section("Warnings", "", warnings_list(data.warnings)))
    return parts


def _gallery(data: ReportData) -> str:
    policy = data.policies[-1]
    hint = (
        f"Unique, novel and metastable structures among the {policy.name} model's evaluation samples, one of"
        f" each formula, lowest energy above hull first. {data.candidates:,} more were found in training:"
        " <code>candidates.extxyz</code>, <code>candidates.parquet</code>."
    )
    return _section("Best candidates", hint, gallery(policy, data.run.config.suspicious_below))


def _chart(name: str, title: str, hint: str, figure: Figure) -> str:
    # Escaped, so that no text inside can end or begin a script element.
    data = json.dumps(figure, allow_nan=False).replace("<", "\\u003c")
    # Drawn by _DRAW once the whole page is laid out: a chart takes its width from its finished surroundings.
    figure_data = f'<script type="application/json">{data}</script>'
    return _section(title, escape(hint), f'<div class="chart" id="chart-{name}">{figure_data}</div>')


def _section(title: str, hint: str, content: str) -> str:
    return f'<section><h2>{escape(title)}</h2><p class="hint">{hint}</p>{content}</section>'


def _grid(*sections: str) -> str:
    return f'<div class="grid">{"".join(sections)}</div>' if sections else ""


def _footer() -> str:
    return f"<footer>{DEFINITIONS}. Energies are single points on the structures as sampled.</footer>"
