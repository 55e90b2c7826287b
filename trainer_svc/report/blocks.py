"""Blocks of a report that are no charts: verdict, cards, table, gallery, provenance."""

import re
from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np

from trainer_svc.report.data import Policy, ReportData
from trainer_svc.report.drawing import draw
from trainer_svc.report.theme import COLOURS
from xenolith.contract.evaluations import EXCLUDING_OWN_TARGETS, estimate_of, further_novelty
from xenolith.headlines import HEADLINES, headline
from xenolith.intervals import Estimate
from xenolith.v1 import trainer_pb2

__all__ = ["cards", "comparison", "gallery", "idle_shares", "provenance", "verdict", "warnings_list"]

_FIRST = ("msun", "sun", "metastable", "stable", "novel", "unique", "valid")
"""Rows of the table, the most important first; what is not named here follows."""
_LARGE = ("msun", "metastable", "novel", "unique", "valid")
"""Numbers on the cards."""
_GALLERY = 15


def verdict(data: ReportData) -> str:
    """Say in a sentence what the run achieved, and whether the intervals support it."""
    if len(data.policies) < 2:
        return '<p class="verdict">The run has not been evaluated to its end yet.</p>'
    base, tuned = (policy.evaluation.msun for policy in data.policies)
    moved = "rose" if tuned.value > base.value else "fell" if tuned.value < base.value else "stayed"
    apart = tuned.low > base.high or tuned.high < base.low
    support = (
        "The 95 % intervals do not overlap."
        if apart
        else "The 95 % intervals overlap: more samples may decide."
    )
    emphasis = ' class="up"' if apart and moved == "rose" else ""
    return (
        f'<p class="verdict">Structures that are metastable, unique and novel (mSUN) <b{emphasis}>{moved}'
        f" from {_percent(base.value)} to {_percent(tuned.value)}</b> of samples in {data.run.steps_done}"
        f" steps and {_duration(data.run.wall_s)}. {support}</p>"
    )


def cards(data: ReportData) -> str:
    """The headline numbers, large."""
    if not data.policies:
        return ""
    last, first = data.policies[-1], data.policies[0]
    shown = []
    for name in _LARGE:
        now, before = (estimate_of(policy.evaluation, name) for policy in (last, first))
        if now is None or before is None:
            continue  # not measured
        origin = f"base {_percent(before.value)}" if last is not first else "base model"
        shown.append(
            f'<div class="card"><div class="name">{headline(name).label}</div>'
            f'<div class="value">{100 * now.value:.1f}<small> %</small></div>'
            f'<div class="from">{origin}</div></div>'
        )
    return f'<div class="cards">{"".join(shown)}</div>'


def comparison(policies: Sequence[Policy]) -> str:
    """The table of shares with intervals, and a bar for the eye."""
    heads = "".join(f"<th>{policy.name} (n = {policy.evaluation.n})</th>" for policy in policies)
    change = "<th>change</th>" if len(policies) == 2 else ""
    ordered = [headline(name) for name in _FIRST]
    ordered += [metric for metric in HEADLINES if metric not in ordered]
    rows = "".join(_row(metric.name, metric.label, metric.words, policies) for metric in ordered)
    further = [further_novelty(policy.evaluation) for policy in policies]
    for name in dict.fromkeys(name for shares in further for name in shares):
        if any(shares.get(name) for shares in further):
            rows += _row(name, name.replace("_", " "), _words_of(name), policies)
    return f"<table><tr><th></th>{heads}{change}<th class='bar'>0 to 100 %</th></tr>{rows}</table>"


def gallery(policy: Policy, suspicious_below: float) -> str:
    """Pictures of the best candidates, one of each formula.

    Energies further than `suspicious_below` (eV/atom) under the hull are the calculator's mistakes more often
    than discoveries: they are left out.
    """
    energies = policy.column("e_above_hull")
    with np.errstate(invalid="ignore"):
        hits = np.nonzero(policy.msun & (energies >= -suspicious_below))[0]
    chosen: dict[str, int] = {}
    for index in hits[np.argsort(energies[hits], kind="stable")]:
        chosen.setdefault(policy.crystals[index].formula, int(index))
    if not chosen:
        return '<p class="hint">None of the samples is unique, novel and metastable.</p>'
    pictures = (_picture(policy, index) for index in list(chosen.values())[:_GALLERY])
    return f'<div class="gallery">{"".join(pictures)}</div>'


def provenance(data: ReportData) -> str:
    """Return the block on calculators, generators, seeds and versions behind the figures."""
    run, scale = data.run, data.run.score_provenance
    sampler, software = run.config.sampler, data.versions.get("software", {})
    sameness = (
        f"{scale.sameness.amd_tolerance:g} Å"
        if scale.sameness.HasField("amd_tolerance")
        else "oracle default"
    )
    entries: dict[str, Any] = {
        "calculator": f"{scale.calculator_id} (software {scale.calculator_version})",
        "reference": scale.reference_id,
        "hull": scale.hull_id,
        "sameness": f"same reduced formula and AMD distance below {sameness}",
        "oracle settings": _code(scale.settings_digest),
        "bundle": f"{escape(run.bundle_name)} {_code(run.bundle_digest)}",
        "base policy": _code(run.base.policy_version),
        "tuned policy": _code(run.tuned.policy_version or run.policy_version),
        "sampler": f"{sampler.steps} steps, eta {sampler.eta:g}",
        "rollouts": f"{run.config.groups} groups of {run.config.group_size} a step",
        "cell sizes": _cell_sizes(run.config),
        "seeds": f"run {run.config.seed}, evaluation {list(run.config.evaluation.seeds) or 'derived'}",
        "structures scored": f"{run.oracle_calls:,}",
        "time at work": _duration(run.wall_s),
        "idle during steps": idle_shares(data.steps),
        "software": ", ".join(f"{name} {version}" for name, version in software.items()),
    }
    marked = {key for key, value in entries.items() if str(value).endswith("</code>")}
    return (
        "<dl>"
        + "".join(
            f"<dt>{key}</dt><dd>{v if key in marked else escape(str(v))}</dd>" for key, v in entries.items()
        )
        + "</dl>"
    )


def idle_shares(steps: Sequence[trainer_pb2.StepEvent]) -> str:
    """Say what share of the steps' time each service had nothing to do for the run.

    An oracle that scores groups while others are sampled is busy for less than this counts.
    """
    total = sum(step.timings["total"] for step in steps if "total" in step.timings)
    if not total:
        return "-"
    stages = {"generator": ("sample",), "oracle": ("score", "relax"), "trainer": ("update", "push")}
    told = []
    for service, names in stages.items():
        busy = sum(step.timings[name] for step in steps for name in names if name in step.timings)
        told.append(f"{service} {max(0.0, 1.0 - busy / total):.0%}")
    return ", ".join(told)


def warnings_list(warnings: Sequence[str]) -> str:
    """Return the list of warnings for the user."""
    return f'<ul class="warnings">{"".join(f"<li>{escape(text)}</li>" for text in warnings)}</ul>'


def _words_of(name: str) -> str:
    """Say what a share of novelty beyond the run's reference means."""
    if name == EXCLUDING_OWN_TARGETS:
        return "what the run learnt as if it were data counts as known"
    kind, _, other = name.partition("_")
    return f"also not in {other}" if kind == "novel" else f"new to the run's reference, listed in {other}"


def _row(name: str, label: str, words: str, policies: Sequence[Policy]) -> str:
    estimates = [estimate_of(policy.evaluation, name) for policy in policies]
    cells = "".join(f"<td>{_share(estimate)}</td>" for estimate in estimates)
    change = f"<td{_change(*estimates)}</td>" if len(estimates) == 2 else ""
    bars = f'<td class="bar">{_bars(policies, estimates)}</td>'
    title = f"<td>{escape(label)}<span class='what'>{escape(words)}</span></td>"
    return f"<tr{' class=main' if name == 'msun' else ''}>{title}{cells}{change}{bars}</tr>"


def _share(estimate: Estimate | None) -> str:
    if estimate is None:
        return "-"
    interval = f"{100 * estimate.low:.1f} to {100 * estimate.high:.1f}"
    return f'{100 * estimate.value:.1f}<span class="ci">{interval}</span>'


def _change(base: Estimate | None, tuned: Estimate | None) -> str:
    """The rest of a cell, from its class on."""
    if base is None or tuned is None:
        return ">-"
    sure = "up" if tuned.low > base.high else "down" if tuned.high < base.low else ""
    return f' class="{sure}">{100 * (tuned.value - base.value):+.1f}'


def _bars(policies: Sequence[Policy], estimates: Sequence[Estimate | None]) -> str:
    """Value and interval of each policy on a common scale."""
    parts = []
    for index, (policy, estimate) in enumerate(zip(policies, estimates, strict=True)):
        if estimate is None:
            continue
        y, colour = 6 + 10 * index, COLOURS[policy.name]
        parts.append(
            f'<rect x="0" y="{y - 3.5}" width="{100 * estimate.value:.2f}" height="7" fill="{colour}"/>'
            f'<line x1="{100 * estimate.low:.2f}" x2="{100 * estimate.high:.2f}" y1="{y}" y2="{y}"'
            ' stroke="#1d2733" stroke-width="1.6" vector-effect="non-scaling-stroke"/>'
        )
    return f'<svg viewBox="0 0 100 22" preserveAspectRatio="none">{"".join(parts)}</svg>'


def _picture(policy: Policy, index: int) -> str:
    crystal = policy.crystals[index]
    energy = policy.column("e_above_hull")[index]
    distance = policy.column("amd_distance")[index]
    known = f"{distance:.2f} Å from {policy.columns['nearest_reference'][index]}"
    nearest = escape(known) if np.isfinite(distance) else "no known crystal of this formula"
    formula = re.sub(r"(\d+)", r"<sub>\1</sub>", escape(crystal.formula))
    return (
        f'<div class="crystal">{draw(crystal)}<div class="formula">{formula}</div>'
        f'<div class="facts">{energy:+.3f} eV/atom to hull<br>{nearest}<br>{crystal.num_atoms} atoms,'
        f" {crystal.volume / crystal.num_atoms:.1f} Å³/atom</div></div>"
    )


def _cell_sizes(config: trainer_pb2.RunConfig) -> str:
    """Say which cells were trained on and which were judged."""
    judged = (
        config.evaluation.atom_counts if config.evaluation.HasField("atom_counts") else config.atom_counts
    )
    return f"trained on {_sizes(config.atom_counts)}, evaluated on {_sizes(judged)}"


def _sizes(counts: trainer_pb2.AtomCounts) -> str:
    if counts.choices:
        return f"{', '.join(str(count) for count in counts.choices)} atoms"
    low = counts.min or 1
    return f"{low} to {counts.max} atoms" if counts.HasField("max") else f"{low} atoms to the bundle's limit"


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _code(text: str) -> str:
    return f"<code>{escape(text)}</code>"
