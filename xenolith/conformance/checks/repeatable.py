"""A score belongs to its crystal: asked again, in another order or company, it is the same."""

from collections.abc import Iterable

import numpy as np

from xenolith.conformance.check import Collection, expect, skip
from xenolith.conformance.comparison import differences
from xenolith.conformance.crystals import redescribed
from xenolith.conformance.lab import Lab
from xenolith.v1 import oracle_pb2

__all__ = ["CHECKS"]

CHECKS = Collection("repeatable")
_ENERGY_PER_ATOM_OF_CELLS = 5e-3  # eV/atom: plane waves and k-points depend a little on the cell


def _same(
    lab: Lab,
    before: Iterable[oracle_pb2.StructureScore],
    after: Iterable[oracle_pb2.StructureScore],
    what: str,
    *,
    of_the_batch: bool = False,
) -> None:
    tolerance = lab.settings.energy_tolerance
    for first, second in zip(before, after, strict=True):
        found = differences(first, second, energy_tolerance=tolerance, of_the_batch=of_the_batch)
        expect(not found, f"{first.formula} {what}: {'; '.join(found)}")


@CHECKS.check("again", "The same request twice gives the same scores.")
def _again(lab: Lab) -> None:
    again = lab.score(lab.crystals, lab.components)
    _same(lab, lab.baseline.scores, again.scores, "asked twice", of_the_batch=True)


@CHECKS.check("without-cache", "Computed anew, a score is what the cache remembers.")
def _without_cache(lab: Lab) -> None:
    if lab.quick:
        skip("computing anew is left out when checks are to be quick")
    anew = lab.score(lab.crystals, lab.components, use_cache=False)
    _same(lab, lab.baseline.scores, anew.scores, "with and without cache", of_the_batch=True)
    expect(
        anew.stats.cache_hits == 0, f"use_cache was false, but stats.cache_hits is {anew.stats.cache_hits}"
    )
    cached = any(result.cached for score in anew.scores for result in score.components)
    expect(not cached, "use_cache was false, but a component says that it came from the cache")


@CHECKS.check("order", "Structures in another order get the same scores.")
def _order(lab: Lab) -> None:
    order = np.random.default_rng(0).permutation(len(lab.crystals))
    if (order == np.arange(len(order))).all():
        order = order[::-1]
    other = lab.score([lab.crystals[index] for index in order], lab.components)
    before = [lab.baseline.scores[index] for index in order]
    _same(lab, before, other.scores, "in another order", of_the_batch=True)


@CHECKS.check("alone", "A structure alone gets the score that it gets in a batch.")
def _alone(lab: Lab) -> None:
    for index in range(1 if lab.quick else len(lab.crystals)):
        alone = lab.score([lab.crystals[index]], lab.components, use_cache=None if lab.quick else False)
        _same(lab, [lab.baseline.scores[index]], alone.scores, "in a batch and alone")


@CHECKS.check("partial", "A component asked for alone is what it is among the others.")
def _partial(lab: Lab) -> None:
    for component, field in (
        (oracle_pb2.COMPONENT_STABILITY, "energy_per_atom"),
        (oracle_pb2.COMPONENT_NOVELTY, "amd_distance"),
    ):
        if not lab.serves(component):
            continue
        score = lab.score([lab.good], [component]).scores[0]
        before = lab.baseline.scores[0]
        there = score.HasField(field), before.HasField(field)
        expect(there[0] == there[1], f"{field} of {lab.good.formula} is present in one of two requests")
        gap = abs(getattr(score, field) - getattr(before, field))
        expect(gap <= lab.settings.energy_tolerance, f"{field} of {lab.good.formula} differs by {gap:g}")


@CHECKS.check(
    "description",
    "A crystal rotated, shifted, renumbered or in another cell has the same energy and geometry.",
)
def _description(lab: Lab) -> None:
    if lab.quick:
        skip("energies of the same crystal in other cells are left out when checks are to be quick")
    others = [redescribed(crystal, seed) for seed, crystal in enumerate(lab.crystals)]
    scores = lab.score(others, lab.components, use_cache=False).scores
    tolerance = max(lab.settings.energy_tolerance, _ENERGY_PER_ATOM_OF_CELLS)
    for before, after in zip(lab.baseline.scores, scores, strict=True):
        found = differences(before, after, energy_tolerance=tolerance)
        expect(not found, f"{before.formula} in two descriptions: {'; '.join(found)}")


@CHECKS.check("copies", "Copies inside a request have the same energy.")
def _copies(lab: Lab) -> None:
    lab.needs(oracle_pb2.COMPONENT_STABILITY)
    scores = lab.score([lab.good] * 3, [oracle_pb2.COMPONENT_STABILITY]).scores
    _same(lab, scores[:1] * 2, scores[1:], "and its copy")
