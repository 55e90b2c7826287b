"""Charts of the training, over its steps; each a plotly figure as plain data."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from trainer_svc.report.theme import SERIES, Figure, layout
from xenolith.headlines import headline
from xenolith.v1 import trainer_pb2

__all__ = ["health", "metric_curves", "reward_curves"]

_METRICS = ("msun", "metastable", "unique", "novel", "valid")


def reward_curves(steps: Sequence[trainer_pb2.StepEvent]) -> Figure:
    """Reward and its terms over the steps."""
    x = [event.step for event in steps]
    mean = np.array([event.reward_mean for event in steps])
    traces = [
        _line(x, mean, "reward", SERIES[0], width=1.2, opacity=0.45, legend=False),
        _line(x, _smooth(mean), "reward (5-step mean)", SERIES[0], width=3.0),
    ]
    for index, term in enumerate(steps[0].terms if steps else []):
        values = np.array([event.terms[index].mean for event in steps])
        if not term.name.endswith("diversity"):  # on a scale of its own
            traces.append(_line(x, _smooth(values), term.name, SERIES[index + 1], dash="dot"))
    return {"data": traces, "layout": layout(xaxis={"title": {"text": "step"}})}


def metric_curves(steps: Sequence[trainer_pb2.StepEvent]) -> Figure:
    """Shares of each step's samples."""
    x = [event.step for event in steps]
    traces = [
        _line(
            x,
            100 * _smooth(np.array([event.metrics[name] for event in steps])),
            headline(name).label,
            SERIES[index],
        )
        for index, name in enumerate(_METRICS)
        if all(name in event.metrics for event in steps)
    ]
    percent = {"title": {"text": "% of samples"}, "rangemode": "tozero", "range": [0, 102]}
    return {"data": traces, "layout": layout(xaxis={"title": {"text": "step"}}, yaxis=percent)}


def health(steps: Sequence[trainer_pb2.StepEvent]) -> Figure:
    """Ratio check, divergence and clipped share on a logarithmic scale."""
    x = [event.step for event in steps]
    shown = {
        "max |ratio - 1| before the first update": [event.ratio_deviation for event in steps],
        "KL to the base policy": [event.kl for event in steps],
        "share of clipped ratios": [event.clip_fraction for event in steps],
    }
    traces = [
        _line(x, np.maximum(values, 1e-9), name, SERIES[index + 2])
        for index, (name, values) in enumerate(shown.items())
    ]
    limit = {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": 1e-5, "y1": 1e-5}
    limit |= {"line": {"color": "#b5423f", "dash": "dash", "width": 1}}
    return {
        "data": traces,
        "layout": layout(
            xaxis={"title": {"text": "step"}},
            yaxis={"type": "log", "exponentformat": "power"},
            shapes=[limit],
        ),
    }


def _line(
    x: Sequence[int],
    y: Sequence[float] | NDArray[np.float64],
    name: str,
    colour: str,
    *,
    width: float = 2.0,
    dash: str = "solid",
    opacity: float = 1.0,
    legend: bool = True,
) -> Figure:
    values = [None if not np.isfinite(value) else round(float(value), 8) for value in y]
    return {
        "type": "scatter",
        "mode": "lines",
        "x": list(x),
        "y": values,
        "name": name,
        "opacity": opacity,
        "showlegend": legend,
        "line": {"color": colour, "width": width, "dash": dash},
    }


def _smooth(values: NDArray[np.float64], window: int = 5) -> NDArray[np.float64]:
    """Centred moving average that shortens at the ends."""
    half = window // 2
    return np.array([np.mean(values[max(0, i - half) : i + half + 1]) for i in range(len(values))])
