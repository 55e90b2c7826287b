"""Headline shares in an evaluation's message: in fields of their own, or in its map where they have none."""

from collections.abc import Sequence
from typing import Any

from xenolith.intervals import Estimate
from xenolith.v1 import trainer_pb2

__all__ = [
    "AUDIT_SHARES",
    "EXCLUDING_OWN_TARGETS",
    "audit_figures",
    "estimate_of",
    "further_novelty",
    "put_estimate",
]

_Evaluation = trainer_pb2.Evaluation | trainer_pb2.RelaxedEvaluation | trainer_pb2.AuditSummary

AUDIT_SHARES = ("metastable", "msun", "agreement")
"""Shares that a second calculator gives of an evaluation, by their fields in ``AuditSummary``."""


EXCLUDING_OWN_TARGETS = "novel_excluding_own_targets"
"""Share of samples that are novel also where the crystals that the run learnt as data count as known."""

_ALWAYS_TOLD = ("novel_mp2024", "rediscovered_mp2024", EXCLUDING_OWN_TARGETS)
"""Keys of every summary, null where nothing was compared."""


def further_novelty(evaluation: trainer_pb2.Evaluation) -> dict[str, Estimate | None]:
    """Return the shares of novelty against more than the run's reference, by their keys in ``summary.json``.

    ``novel_<name>`` are samples that the run's reference and the oracle's reference ``<name>`` lack,
    ``rediscovered_<name>`` those that the latter has. None where there is no such reference.
    """
    compared = sorted(name for name in evaluation.shares if name.startswith(("novel_", "rediscovered_")))
    return {name: estimate_of(evaluation, name) for name in dict.fromkeys((*_ALWAYS_TOLD, *compared))}


def audit_figures(audits: Sequence[trainer_pb2.AuditSummary]) -> dict[str, Any] | None:
    """Return what the first second calculator says, under the keys of ``summary.json``; None without one.

    ``judge`` is its id; shares are in [0, 1], with their 95 % intervals as ``<name>_ci95``.
    """
    if not audits:
        return None
    audit = audits[0]
    figures: dict[str, Any] = {"judge": audit.calculator_id}
    for name in AUDIT_SHARES:
        estimate = estimate_of(audit, name)
        figures[name] = estimate and estimate.value
        figures[f"{name}_ci95"] = estimate and [estimate.low, estimate.high]
    rank = audit.rank_correlation if audit.HasField("rank_correlation") else None
    return figures | {"rank_correlation": rank, "measured": audit.measured}


def put_estimate(message: _Evaluation, name: str, estimate: Estimate) -> None:
    """Put a share, by its metric's name, where `estimate_of` finds it."""
    place: Any = message
    place = getattr(place, name) if name in message.DESCRIPTOR.fields_by_name else place.shares[name]
    place.value, place.low, place.high = estimate.value, estimate.low, estimate.high


def estimate_of(message: _Evaluation, name: str) -> Estimate | None:
    """Return a share by its metric's name; None where it was not measured."""
    place: Any = message
    if name in message.DESCRIPTOR.fields_by_name:
        found = getattr(place, name) if place.HasField(name) else None
    else:
        found = place.shares.get(name)
    return None if found is None else Estimate(value=found.value, low=found.low, high=found.high)
