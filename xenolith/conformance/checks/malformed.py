"""Structures that are no crystals: each gets a status of its own, and costs its neighbours nothing."""

from collections.abc import Callable
from typing import Any

from xenolith.conformance.check import Collection, expect, skip
from xenolith.conformance.comparison import differences, present
from xenolith.conformance.crystals import broken_crystals
from xenolith.conformance.lab import Lab
from xenolith.conformance.words import status_names
from xenolith.contract.names import status_name
from xenolith.contract.structure_messages import StructureMessage
from xenolith.v1 import crystal_pb2, oracle_pb2

__all__ = ["CHECKS"]

CHECKS = Collection("malformed")
_OK = crystal_pb2.STRUCTURE_STATUS_OK
_KINDS = {
    "nan-in-cell": "NaN in a cell is NONFINITE.",
    "nan-in-coordinates": "NaN in coordinates is NONFINITE.",
    "infinity-in-cell": "Infinity in a cell is NONFINITE.",
    "infinity-in-coordinates": "Infinity in coordinates is NONFINITE.",
    "zero-cell": "A cell of zeros is BAD_CELL.",
    "flat-cell": "A cell whose vectors lie in a plane is BAD_CELL.",
    "huge-cell": "A cell beyond all numbers is BAD_CELL.",
    "tiny-cell": "A crystal shrunk a thousandfold is BAD_CELL, BAD_DENSITY or TOO_CLOSE.",
    "dilute": "A crystal beyond the largest volume per atom is BAD_CELL or BAD_DENSITY.",
    "coincident-atoms": "Two atoms on one point are TOO_CLOSE.",
    "close-atoms": "Two atoms closer than the limit described are TOO_CLOSE.",
    "no-atoms": "A structure without atoms is MALFORMED.",
    "element-0": "Atomic number 0 is UNSUPPORTED_ELEMENT.",
    "element-119": "Atomic number 119 is UNSUPPORTED_ELEMENT.",
    "element-negative": "A negative atomic number is UNSUPPORTED_ELEMENT.",
    "element-huge": "Atomic number 2147483647 is UNSUPPORTED_ELEMENT.",
    "element-uncovered": "An element that the calculator does not cover is UNSUPPORTED_ELEMENT.",
}


def _body(kind: str) -> Callable[[Lab], None]:
    def body(lab: Lab) -> None:
        case = broken_crystals(lab.good, lab.description).get(kind)
        if case is None:
            skip("Describe names no limit or element that could be broken")
        crystal, allowed = case
        scores = lab.score([lab.good, crystal, lab.good], [oracle_pb2.COMPONENT_VALIDITY]).scores
        _is_refused(scores[1], allowed)
        for index in (0, 2):
            expect(
                scores[index].status == _OK,
                f"its good neighbour, structure {index}, is {status_name(scores[index].status)}: "
                f"{scores[index].message}",
            )

    return body


for _kind, _rule in _KINDS.items():
    CHECKS.check(_kind, _rule)(_body(_kind))


@CHECKS.check(
    "message-parts",
    "The parts of a message add up to it, and name structures of the request.",
)
def _message_parts(lab: Lab) -> None:
    crystal, _ = broken_crystals(lab.good, lab.description)["nan-in-cell"]
    scores = lab.score([lab.good, crystal, crystal], [oracle_pb2.COMPONENT_VALIDITY]).scores
    messages: list[Any] = [message for score in scores for message in (score, *score.components)]
    told = [message for message in messages if message.message_parts]
    if not told:
        skip("no message came in parts")
    for message in told:
        whole = StructureMessage.from_proto(message, 0)
        expect(whole == message.message, f"the message is {message.message!r}, its parts say {whole!r}")
        strangers = [part for part in whole.parts if isinstance(part, int) and not 0 <= part < len(scores)]
        expect(not strangers, f"{message.message!r} names {strangers} among {len(scores)} structures")


@CHECKS.check(
    "together", "Whatever is wrong with its neighbours, a good crystal's score is what it is alone."
)
def _together(lab: Lab) -> None:
    cases = broken_crystals(lab.good, lab.description)
    good = len(lab.crystals)
    mixed = [crystal for crystal, _ in cases.values()]
    places = [round(position * (len(mixed) + good) / good) for position in range(good)]
    for place, crystal in zip(places, lab.crystals, strict=True):
        mixed.insert(place, crystal)
    scores: list[oracle_pb2.StructureScore] = []
    most = max(good, lab.description.max_batch)
    for start in range(0, len(mixed), most):
        scores.extend(lab.score(mixed[start : start + most], lab.components).scores)
    rows = [next(row for row, other in enumerate(mixed) if other is crystal) for crystal in lab.crystals]
    for row, before in zip(rows, lab.baseline.scores, strict=True):
        found = differences(before, scores[row], energy_tolerance=lab.settings.energy_tolerance)
        expect(
            not found, f"{before.formula} among broken structures, without and with them: {'; '.join(found)}"
        )
    for name, (crystal, allowed) in cases.items():
        row = next(row for row, other in enumerate(mixed) if other is crystal)
        try:
            _is_refused(scores[row], allowed)
        except AssertionError as error:
            raise type(error)(f"{name}: {error}") from None


def _is_refused(score: oracle_pb2.StructureScore, allowed: frozenset[int]) -> None:
    expect(
        score.status in allowed,
        f"the broken structure is {status_name(score.status)} ({score.message!r}), expected "
        f"{status_names(allowed)}",
    )
    expect(score.message, "the broken structure's message is empty: what is wrong with it?")
    expect(score.HasField("valid") and not score.valid, "the broken structure should have valid = false")
    geometry = {"valid", "min_distance", "density", "volume_per_atom", "charge_neutral"}
    measured = [name for name in present(score) if name not in geometry]
    expect(not measured, f"the broken structure has {', '.join(measured)}, which nobody can have measured")
    for result in score.components:
        expect(
            result.status != _OK,
            "a component of the broken structure is OK; what was not evaluated is SKIPPED",
        )
