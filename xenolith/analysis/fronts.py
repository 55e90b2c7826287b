"""Fronts of novelty and stability: which settings of a sweep nothing beats, and whether one is robust.

A setting is *on the front* of a seed if no other setting of that seed has more novel or more metastable
samples without fewer of the other kind. It is *as good as the best* of a seed if the 95 % interval of its
mSUN reaches the best mSUN of that seed. It is **robust** if it is both in every seed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from xenolith.intervals import Estimate

__all__ = ["Outcome", "Standing", "conclusion", "front", "standings"]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """An evaluated policy of a sweep."""

    setting: str
    """Name of its setting."""
    seed: int
    """Of its run."""
    novel: Estimate
    metastable: Estimate
    msun: Estimate
    unique: Estimate


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How a setting does over its seeds."""

    setting: str
    seeds: int
    """Seeds that were evaluated."""
    on_front: int
    """Of them, those on whose front it is."""
    as_good: int
    """Of them, those in which its mSUN reaches the best."""
    novel: float
    """Mean over seeds."""
    metastable: float
    """Mean over seeds."""
    msun: float
    """Mean over seeds."""
    worst_msun: float
    """Of its worst seed."""

    def robust(self, seeds: int) -> bool:
        """Whether it is on the front and as good as the best in each of so many seeds."""
        return self.on_front == self.as_good == self.seeds == seeds


def front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Return the indices of the points that no other one exceeds without a loss in the other coordinate."""

    def beaten(x: float, y: float) -> bool:
        return any(a >= x and b >= y and (a > x or b > y) for a, b in points)

    return [index for index, point in enumerate(points) if not beaten(*point)]


def standings(outcomes: Sequence[Outcome]) -> list[Standing]:
    """Return the standing of each setting, best mean mSUN first."""
    on_front: dict[str, int] = {}
    as_good: dict[str, int] = {}
    for seed in sorted({outcome.seed for outcome in outcomes}):
        same = [outcome for outcome in outcomes if outcome.seed == seed]
        best = max(outcome.msun.value for outcome in same)
        ahead = front([(outcome.novel.value, outcome.metastable.value) for outcome in same])
        for index, outcome in enumerate(same):
            on_front[outcome.setting] = on_front.get(outcome.setting, 0) + (index in ahead)
            as_good[outcome.setting] = as_good.get(outcome.setting, 0) + (outcome.msun.high >= best)
    found = []
    for setting, times in on_front.items():
        mine = [outcome for outcome in outcomes if outcome.setting == setting]
        found.append(
            Standing(
                setting=setting,
                seeds=len(mine),
                on_front=times,
                as_good=as_good[setting],
                novel=sum(outcome.novel.value for outcome in mine) / len(mine),
                metastable=sum(outcome.metastable.value for outcome in mine) / len(mine),
                msun=sum(outcome.msun.value for outcome in mine) / len(mine),
                worst_msun=min(outcome.msun.value for outcome in mine),
            )
        )
    return sorted(found, key=lambda standing: (-standing.msun, standing.setting))


def conclusion(found: Sequence[Standing], seeds: int, missing: int) -> str:
    """Say in words whether one setting is robust.

    Parameters
    ----------
    found
        Of all settings.
    seeds
        Seeds of the sweep.
    missing
        Runs without an outcome.
    """
    waiting = f" {missing} runs have no outcome yet." if missing else ""
    if not found:
        return "Nothing was evaluated yet." + waiting
    if seeds < 2:
        return "One seed cannot tell whether a setting is robust." + waiting
    robust = [standing for standing in found if standing.robust(seeds)]
    if robust:
        names = "; ".join(standing.setting for standing in robust)
        which = "One setting is robust" if len(robust) == 1 else f"{len(robust)} settings are robust"
        return (
            f"{which}: on the front of novelty and stability, and as good as the best in mSUN, in each of"
            f" {seeds} seeds: {names}.{waiting}"
        )
    near = max(found, key=lambda standing: (standing.on_front + standing.as_good, standing.msun))
    return (
        f"No setting is robust. Nearest to it is {near.setting}: on the front in {near.on_front}, as good as"
        f" the best in {near.as_good} of {seeds} seeds.{waiting}"
    )
