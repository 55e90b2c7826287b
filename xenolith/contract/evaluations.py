"""Headline shares in an evaluation's message: in fields of their own, or in its map where they have none."""

from xenolith.intervals import Estimate
from xenolith.v1 import trainer_pb2

__all__ = ["estimate_of", "put_estimate"]

_Evaluation = trainer_pb2.Evaluation | trainer_pb2.RelaxedEvaluation


def put_estimate(message: _Evaluation, name: str, estimate: Estimate) -> None:
    """Put a share, by its metric's name, where `estimate_of` finds it."""
    place = getattr(message, name) if name in message.DESCRIPTOR.fields_by_name else message.shares[name]
    place.value, place.low, place.high = estimate.value, estimate.low, estimate.high


def estimate_of(message: _Evaluation, name: str) -> Estimate | None:
    """Return a share by its metric's name; None where it was not measured."""
    if name in message.DESCRIPTOR.fields_by_name:
        found = getattr(message, name) if message.HasField(name) else None
    else:
        found = message.shares.get(name)
    return None if found is None else Estimate(value=found.value, low=found.low, high=found.high)
