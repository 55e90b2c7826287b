"""One run's way to a share of metastable, unique and novel crystals, and what it cost until there."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from xenolith.contract.evaluations import estimate_of
from xenolith.v1 import trainer_pb2


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Cost of training so far; the evaluations that measure the run are not counted."""

    calls: float
    """Structures scored."""
    wall_s: float
    """Seconds of steps."""
    evaluations: float
    """Energies that the oracle's calculator computed."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """An evaluation during a run."""

    cost: Cost
    msun: float
    low: float
    high: float
    unique: float


@dataclass(frozen=True, kw_only=True)
class Finish:
    """When a run reached what it was to reach."""

    cost: Cost
    """Interpolated between two evaluations; of the whole run where it did not get there."""
    censored: bool
    """It did not get there: the cost is a lower bound."""


def curve(events: Iterable[trainer_pb2.WatchRunResponse]) -> list[Point]:
    """Evaluations of a run, in order of cost."""
    calls = evaluations = 0
    wall_s = 0.0
    points: list[Point] = []
    for event in events:
        if event.HasField("step") and not event.step.replayed:
            calls += event.step.samples
            evaluations += event.step.calculator_evaluations
            wall_s += event.step.timings["total"]
        elif event.HasField("evaluation"):
            found = event.evaluation.evaluation
            msun, unique = estimate_of(found, "msun"), estimate_of(found, "unique")
            if msun is None or unique is None:
                raise SystemExit(
                    "the oracle cannot measure mSUN: it needs a reference with structures and a hull"
                )
            cost = Cost(calls=calls, wall_s=wall_s, evaluations=evaluations)
            points.append(
                Point(cost=cost, msun=msun.value, low=msun.low, high=msun.high, unique=unique.value)
            )
    return points


def finish(points: Sequence[Point], gain: float) -> Finish:
    """When the share had risen by `gain` over the first point's."""
    target = points[0].msun + gain
    for before, after in itertools.pairwise(points):
        if after.msun >= target:
            part = (target - before.msun) / (after.msun - before.msun)
            return Finish(cost=_between(before.cost, after.cost, part), censored=False)
    return Finish(cost=points[-1].cost, censored=True)


def compare(slow: Sequence[Finish], fast: Sequence[Finish]) -> dict[str, Any]:
    """How many times more the runs `slow` cost than `fast`, in the mean over seeds.

    Returns
    -------
    dict
        ``calls_ratio``, ``wall_ratio``, ``evaluations_ratio``: null where a run of `fast` did not get there,
        or where nothing was counted; ``censored``: a run of `slow` did not, so that they are lower bounds.
    """
    ratios: dict[str, Any] = {}
    for field in fields(Cost):
        above, below = (
            float(np.mean([getattr(run.cost, field.name) for run in runs])) for runs in (slow, fast)
        )
        known = below > 0.0 and not any(run.censored for run in fast)
        ratios[f"{field.name.removesuffix('_s')}_ratio"] = above / below if known else None
    return {**ratios, "censored": any(run.censored for run in slow)}


def as_json(point: Point | Finish) -> dict[str, Any]:
    """Flatten for a file."""
    values = asdict(point)
    return {**values.pop("cost"), **values}


def _between(first: Cost, second: Cost, part: float) -> Cost:
    values = {
        field.name: getattr(first, field.name)
        + part * (getattr(second, field.name) - getattr(first, field.name))
        for field in fields(Cost)
    }
    return Cost(**values)
