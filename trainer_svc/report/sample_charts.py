"""Charts of what base and tuned policy sampled; each a plotly figure as plain data."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer_svc.report.data import Policy
from trainer_svc.report.theme import COLOURS, Figure, layout
from xenolith.elements import SYMBOLS
from xenolith.headlines import METASTABLE_BELOW

__all__ = ["atom_counts", "elements", "hull_histogram", "pareto", "pareto_front"]

_HULL_RANGE = (-0.2, 1.0)
"""eV/atom shown; what lies outside is counted in the outermost bins."""


def hull_histogram(policies: Sequence[Policy]) -> Figure:
    """Distribution of the energy above hull."""
    low, high = _HULL_RANGE
    edges = np.linspace(low, high, 49)
    centres = (edges[1:] + edges[:-1]) / 2
    traces = []
    for policy in policies:
        energies = policy.column("e_above_hull")
        counts, _ = np.histogram(np.clip(energies[np.isfinite(energies)], low, high - 1e-9), edges)
        share = 100 * counts / max(len(energies), 1)
        traces.append(
            {
                "type": "bar",
                "x": centres.tolist(),
                "y": share.tolist(),
                "name": policy.name,
                "opacity": 0.72,
                "marker": {"color": COLOURS[policy.name], "line": {"width": 0}},
                "width": edges[1] - edges[0],
                "hovertemplate": "%{x:.2f} eV/atom: %{y:.1f} %<extra>" + policy.name + "</extra>",
            }
        )
    return {
        "data": traces,
        "layout": layout(
            barmode="overlay",
            shapes=[_marker(METASTABLE_BELOW)],
            annotations=[_note(METASTABLE_BELOW, f"metastable < {METASTABLE_BELOW:g}")],
            xaxis={"title": {"text": "energy above hull, eV/atom"}, "range": [low, high]},
            yaxis={"title": {"text": "% of samples"}},
        ),
    }


def pareto(policies: Sequence[Policy]) -> Figure:
    """Novelty against stability: distance to the nearest known crystal over energy above hull."""
    found = [(policy.column("e_above_hull"), policy.column("amd_distance")) for policy in policies]
    finite = [distance[np.isfinite(distance)] for _, distance in found]
    top = 1.12 * max((float(values.max()) for values in finite if values.size), default=1.0)
    traces: list[Figure] = []
    for policy, (energies, distances) in zip(policies, found, strict=True):
        y = np.where(np.isfinite(distances), distances, top)
        kept = np.isfinite(energies) & (policy.column("valid") == 1.0)
        traces.append(_cloud(policy, energies, y, kept))
        inside = kept & np.isfinite(distances)
        front = pareto_front(energies[inside], distances[inside])
        traces.append(
            {
                "type": "scatter",
                "mode": "lines",
                "x": front[0],
                "y": front[1],
                "showlegend": False,
                "line": {"color": COLOURS[policy.name], "width": 1.6, "shape": "vh"},
                "hoverinfo": "skip",
            }
        )
    return {
        "data": traces,
        "layout": layout(
            400,
            shapes=[_marker(METASTABLE_BELOW)],
            annotations=[
                {
                    "x": 1,
                    "xref": "paper",
                    "xanchor": "right",
                    "y": top,
                    "yanchor": "bottom",
                    "showarrow": False,
                    "text": "no known crystal of this formula",
                    "font": {"size": 11, "color": "#6b7585"},
                }
            ],
            xaxis={"title": {"text": "energy above hull, eV/atom"}, "range": list(_HULL_RANGE)},
            yaxis={"title": {"text": "AMD distance to nearest known, Å"}, "range": [-0.04 * top, 1.1 * top]},
        ),
    }


def elements(policies: Sequence[Policy]) -> Figure:
    """Share of samples that hold each of the most frequent elements."""
    shares = {}
    for policy in policies:
        counts = Counter(
            int(z) for crystal in policy.crystals for z in set(crystal.numbers) if 0 < z < len(SYMBOLS)
        )
        shares[policy.name] = {z: 100 * count / max(len(policy.crystals), 1) for z, count in counts.items()}
    total: Counter[int] = Counter()
    for share in shares.values():
        total.update(share)
    order = [z for z, _ in total.most_common(36)]
    traces = [
        {
            "type": "bar",
            "x": [SYMBOLS[z] for z in order],
            "y": [share.get(z, 0.0) for z in order],
            "name": name,
            "marker": {"color": COLOURS[name]},
            "hovertemplate": "%{x}: %{y:.1f} %<extra>" + name + "</extra>",
        }
        for name, share in shares.items()
    ]
    return {
        "data": traces,
        "layout": layout(
            300,
            barmode="group",
            bargap=0.25,
            yaxis={"title": {"text": "% of samples"}},
            xaxis={"tickangle": 0},
        ),
    }


def atom_counts(policies: Sequence[Policy]) -> Figure:
    """Distribution of the number of atoms: all samples, and those that are mSUN."""
    traces = []
    for policy in policies:
        counts = Counter(
            crystal.num_atoms for crystal, hit in zip(policy.crystals, policy.msun, strict=True) if hit
        )
        x = sorted(counts)
        traces.append(
            {
                "type": "bar",
                "x": x,
                "y": [counts[n] for n in x],
                "name": f"{policy.name}, mSUN",
                "marker": {"color": COLOURS[policy.name]},
            }
        )
    if policies:
        drawn = Counter(crystal.num_atoms for crystal in policies[0].crystals)
        x = sorted(drawn)
        line = {"color": "#1d2733", "width": 1.2, "shape": "hvh"}
        traces.append(
            {
                "type": "scatter",
                "mode": "lines",
                "x": x,
                "y": [drawn[n] for n in x],
                "name": "all samples",
                "line": line,
            }
        )
    axes: dict[str, Any] = {"xaxis": {"title": {"text": "atoms in the cell"}, "dtick": 1}}
    return {
        "data": traces,
        "layout": layout(300, barmode="group", yaxis={"title": {"text": "samples"}}, **axes),
    }


def _cloud(policy: Policy, x: NDArray[np.float64], y: NDArray[np.float64], kept: NDArray[np.bool_]) -> Figure:
    text = [formula for formula, keep in zip(policy.columns["formula"], kept, strict=True) if keep]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": policy.name,
        "text": text,
        "x": np.round(np.clip(x[kept], *_HULL_RANGE), 4).tolist(),
        "y": np.round(y[kept], 4).tolist(),
        "marker": {"color": COLOURS[policy.name], "size": 6, "opacity": 0.6, "line": {"width": 0}},
        "hovertemplate": "<b>%{text}</b><br>%{x:.3f} eV/atom above hull<br>%{y:.2f} Å<extra>"
        + policy.name
        + "</extra>",
    }


def pareto_front(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[list[float], list[float]]:
    """Return the points that no other beats in both: lower energy and larger distance."""
    best, front_x, front_y = -np.inf, [], []
    for index in np.lexsort((-y, x)):
        if y[index] > best:
            best = y[index]
            front_x.append(float(x[index]))
            front_y.append(float(best))
    return front_x, front_y


def _marker(x: float) -> Figure:
    line = {"color": "#1d2733", "width": 1, "dash": "dot"}
    return {"type": "line", "yref": "paper", "y0": 0, "y1": 1, "x0": x, "x1": x, "line": line}


def _note(x: float, text: str) -> Figure:
    return {
        "x": x,
        "y": 0.98,
        "yref": "paper",
        "xanchor": "left",
        "showarrow": False,
        "text": f" {text}",
        "font": {"size": 11, "color": "#6b7585"},
    }
