"""Uniqueness and novelty."""

import numpy as np

from xenolith.conformance.check import Collection, expect, skip
from xenolith.conformance.crystals import redescribed, strained
from xenolith.conformance.lab import Lab
from xenolith.contract.wire import batch_to_proto
from xenolith.crystal import Crystal, CrystalBatch
from xenolith.v1 import oracle_pb2

__all__ = ["CHECKS"]

CHECKS = Collection("sameness")
_UNIQUENESS = oracle_pb2.COMPONENT_UNIQUENESS
_NOVELTY = oracle_pb2.COMPONENT_NOVELTY


@CHECKS.check("copies", "Of exact copies the first is unique, and the others name it.")
def _copies(lab: Lab) -> None:
    lab.needs(_UNIQUENESS)
    a, b = _two(lab)
    batch = [b, a, a, b, a]
    scores = lab.score(batch, [_UNIQUENESS]).scores
    for index, score in enumerate(scores):
        first = next(place for place, crystal in enumerate(batch) if crystal is batch[index])
        expect(
            score.HasField("unique") and score.unique == (index == first),
            f"structure {index} is {_not(score)}unique; its first copy is structure {first}",
        )
        expect(
            index == first or score.duplicate_of == first,
            f"structure {index} is a copy of structure {first}, but duplicate_of is "
            f"{score.duplicate_of if score.HasField('duplicate_of') else 'absent'}",
        )


@CHECKS.check("descriptions", "A crystal written in two ways is one crystal.")
def _descriptions(lab: Lab) -> None:
    lab.needs(_UNIQUENESS)
    a, b = _two(lab)
    scores = lab.score([a, redescribed(a), b], [_UNIQUENESS]).scores
    expect(
        [scores[0].unique, scores[1].unique].count(True) == 1,
        f"{a.formula} in two descriptions: {_count(scores[:2])} of 2 are unique",
    )
    expect(scores[2].unique, f"{b.formula} is the only one of its formula, and should be unique")


@CHECKS.check("order", "Which structures are unique does not depend on their order.")
def _order(lab: Lab) -> None:
    lab.needs(_UNIQUENESS)
    a, b = _two(lab)
    batch = [a, strained(a, 1.0005), b, strained(a, 1.3), redescribed(b), strained(a, 0.9995)]
    straight = lab.score(batch, [_UNIQUENESS]).scores
    for seed in range(2 if lab.quick else 4):
        order = np.random.default_rng(seed).permutation(len(batch))
        shuffled = lab.score([batch[index] for index in order], [_UNIQUENESS]).scores
        for place, index in enumerate(order):
            expect(
                shuffled[place].unique == straight[index].unique,
                f"structure {index} ({batch[index].formula}) is {_not(straight[index])}unique, in the order "
                f"{order.tolist()} it is {_not(shuffled[place])}unique",
            )
            if shuffled[place].HasField("duplicate_of"):
                other = int(order[shuffled[place].duplicate_of])
                expect(
                    other == straight[index].duplicate_of,
                    f"structure {index} duplicates {straight[index].duplicate_of}, in the order "
                    f"{order.tolist()} it duplicates {other}",
                )


@CHECKS.check("duplicate-of", "duplicate_of names a unique structure of the same formula in the request.")
def _duplicate_of(lab: Lab) -> None:
    lab.needs(_UNIQUENESS)
    a, b = _two(lab)
    scores = lab.score([a, b, redescribed(a), redescribed(b)], [_UNIQUENESS]).scores
    for index, score in enumerate(scores):
        if score.HasField("duplicate_of"):
            expect(0 <= score.duplicate_of < len(scores), f"duplicate_of is {score.duplicate_of}, no index")
            other = scores[score.duplicate_of]
            expect(other.unique, f"structure {index} duplicates {score.duplicate_of}, which is not unique")
            expect(other.formula == score.formula, f"structure {index} duplicates one of another formula")


@CHECKS.check("known", "A crystal that the caller gives as known is not novel, and is named known:<index>.")
def _known(lab: Lab) -> None:
    lab.needs(_NOVELTY)
    a, b = _two(lab)
    mine = strained(a, 1.17)
    request = lab.request([mine], [_NOVELTY])
    request.known.CopyFrom(batch_to_proto(CrystalBatch.from_crystals([b, mine])))
    score = lab.answer(request).scores[0]
    expect(score.HasField("novel") and not score.novel, f"{mine.formula} is given as known, and is novel")
    expect(
        score.nearest_reference == "known:1",
        f"nearest_reference is {score.nearest_reference!r}, expected 'known:1'",
    )
    expect(score.amd_distance < 1e-3, f"amd_distance to itself is {score.amd_distance:g}")


@CHECKS.check(
    "novel-or-near", "A structure is novel exactly if the nearest known one is beyond the tolerance."
)
def _novel(lab: Lab) -> None:
    lab.needs(_NOVELTY)
    response = lab.score([strained(crystal, 1.2) for crystal in lab.crystals], [_NOVELTY])
    sameness = response.provenance.sameness
    if sameness.metric != oracle_pb2.SAMENESS_METRIC_AMD:
        skip("sameness is not judged by AMD here")
    for index, score in enumerate(response.scores):
        near = score.HasField("amd_distance") and score.amd_distance <= sameness.amd_tolerance
        expect(
            score.novel != near,
            f"structure {index} ({score.formula}): novel is {score.novel}, its distance to "
            f"{score.nearest_reference or 'nothing'} is "
            f"{score.amd_distance if score.HasField('amd_distance') else 'absent'}, the tolerance is "
            f"{sameness.amd_tolerance}",
        )


def _two(lab: Lab) -> tuple[Crystal, Crystal]:
    """Two crystals of different formulas."""
    for other in lab.crystals[1:]:
        if other.formula != lab.good.formula:
            return lab.good, other
    return skip("it takes two crystals of different formulas")


def _not(score: oracle_pb2.StructureScore) -> str:
    return "" if score.unique else "not "


def _count(scores: object) -> int:
    return sum(bool(score.unique) for score in scores)  # type: ignore[attr-defined]
