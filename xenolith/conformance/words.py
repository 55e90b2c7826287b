"""Requests and numbers of the contract in words, for reasons that people read."""

from collections.abc import Iterable
from typing import Any

from google.protobuf import text_format

from xenolith.contract.names import component_name, status_name
from xenolith.formula import reduced_formula
from xenolith.v1 import crystal_pb2, oracle_pb2

__all__ = ["described", "status_names"]

_STRUCTURES_SHOWN = 8


def status_names(statuses: Iterable[int]) -> str:
    """Return the names of statuses, joined by *or*."""
    return " or ".join(sorted(map(status_name, statuses)))


def described(request: Any) -> str:
    """Return a request in a line or two: its type, its crystals, and whatever else is set."""
    kind = type(request).__name__
    inner = request.request if hasattr(request, "request") else request
    parts = [kind]
    if isinstance(inner, oracle_pb2.ScoreRequest):
        parts.append(_crystals(inner.crystals))
        rest = oracle_pb2.ScoreRequest()
        rest.CopyFrom(inner)
        for big in ("crystals", "known", "components"):
            rest.ClearField(big)
        names = ", ".join(map(component_name, inner.components)) or "default"
        parts.append(f"components: {names}")
        parts.append(text_format.MessageToString(rest, as_one_line=True))
    else:
        parts.append(text_format.MessageToString(request, as_one_line=True)[:300])
    return "; ".join(part for part in parts if part)


def _crystals(batch: crystal_pb2.CrystalBatch) -> str:
    told: list[str] = []
    start = 0
    for count in batch.num_atoms[:_STRUCTURES_SHOWN]:
        numbers = batch.numbers[start : start + max(0, count)]
        start += max(0, count)
        told.append(f"{reduced_formula(numbers) or '?'} ({count} atoms)")
    more = len(batch.num_atoms) - len(told)
    return f"structures: {', '.join(told) or 'none'}{f' and {more} more' if more > 0 else ''}"
