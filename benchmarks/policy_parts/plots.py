"""Curves of all contenders: mSUN against oracle calls and against time, with bands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.policy_parts.race import Point


def draw(curves: Mapping[str, Sequence[Sequence[Point]]], gain: float, path: Path) -> None:
    """Write a figure.

    Parameters
    ----------
    curves
        For each contender the points of each seed. The band is from the lowest seed to the highest; of a
        single seed, the interval of each evaluation.
    gain
        What is to be reached, above the first points.
    path
        A PNG file.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4))
    axes = figure.subplots(1, 2, sharey=True)
    base = float(np.mean([seed[0].msun for seeds in curves.values() for seed in seeds]))
    for name, seeds in curves.items():
        steps = min(len(seed) for seed in seeds)
        table = np.array([[(p.msun, p.low, p.high) for p in seed[:steps]] for seed in seeds])
        middle = table[:, :, 0].mean(axis=0)
        alone = len(seeds) == 1
        low = table[0, :, 1] if alone else table[:, :, 0].min(axis=0)
        high = table[0, :, 2] if alone else table[:, :, 0].max(axis=0)
        for axis, cost in zip(axes, ("calls", "wall_s"), strict=True):
            spent = np.mean([[getattr(p.cost, cost) for p in seed[:steps]] for seed in seeds], axis=0)
            (line,) = axis.plot(spent, 100 * middle, "o-", label=name, markersize=3)
            axis.fill_between(spent, 100 * low, 100 * high, alpha=0.15, color=line.get_color(), linewidth=0)
    for axis, label in zip(axes, ("oracle calls in training", "seconds of training"), strict=True):
        axis.axhline(100 * (base + gain), color="grey", linestyle="--", linewidth=1)
        axis.set(xlabel=label)
    axes[0].set(ylabel="metastable, unique and novel, %")
    axes[0].legend()
    figure.tight_layout()
    figure.savefig(path, dpi=120)
