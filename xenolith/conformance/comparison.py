"""Scores of one crystal compared: by value, and by what is present at all."""

import math
from typing import Any

from xenolith.contract.columns import COLUMNS, NUMBERS, SCALARS
from xenolith.contract.names import status_name
from xenolith.v1 import oracle_pb2

__all__ = ["differences", "not_finite", "present"]

_DIVERSITIES = {oracle_pb2.COMPONENT_STRUCTURE_DIVERSITY, oracle_pb2.COMPONENT_COMPOSITION_DIVERSITY}


def present(score: oracle_pb2.StructureScore) -> list[str]:
    """Return the names of the measurements that are present."""
    return [field.name for field, _ in score.ListFields() if field.name in COLUMNS]


def not_finite(score: oracle_pb2.StructureScore) -> list[str]:
    """Return the names of values that are NaN or infinite."""
    bad = [name for name in NUMBERS if not math.isfinite(getattr(score, name))]
    bad += [f"properties[{name!r}]" for name, value in score.properties.items() if not math.isfinite(value)]
    return bad + [name for name in ("amd", "embedding") if not all(map(math.isfinite, getattr(score, name)))]


def differences(
    first: oracle_pb2.StructureScore,
    second: oracle_pb2.StructureScore,
    *,
    energy_tolerance: float,
    of_the_batch: bool = False,
) -> list[str]:
    """Return what differs between two scores of one crystal, in words.

    Parameters
    ----------
    energy_tolerance
        Differences of energies up to this are none, eV/atom.
    of_the_batch
        Compare what depends on the other structures of the request too.
    """
    found: list[str] = []
    if first.status != second.status:
        found.append(f"status {status_name(first.status)} and {status_name(second.status)}")
    if first.formula != second.formula:
        found.append(f"formula {first.formula!r} and {second.formula!r}")
    compared = [name for name in SCALARS if of_the_batch or not COLUMNS[name].of_the_batch]
    # An index into the request moves with the order of the request.
    compared = [name for name in compared if name != "duplicate_of"]
    tolerances = {name: _tolerance(name, energy_tolerance) for name in compared}
    for name, tolerance in tolerances.items():
        there = first.HasField(name), second.HasField(name)
        a, b = getattr(first, name), getattr(second, name)
        if there[0] != there[1]:
            found.append(f"{name} is present once ({a if there[0] else b}) and absent once")
        elif there[0] and not _close(a, b, tolerance):
            found.append(f"{name} {a} and {b}")
    for name in sorted(set(first.properties) | set(second.properties)):
        a, b = (score.properties.get(name, math.nan) for score in (first, second))
        if not _close(a, b, 1e-3 * max(1.0, abs(a))):
            found.append(f"properties[{name!r}] {a} and {b}")
    return found


def _tolerance(name: str, energy_tolerance: float) -> float:
    """Return by how much two values of a column may differ; truths and names differ or not."""
    if COLUMNS[name].unit == "eV/atom":
        return energy_tolerance
    return 1e-5 if COLUMNS[name].component in _DIVERSITIES else 1e-4


def _close(a: Any, b: Any, tolerance: float) -> bool:
    if isinstance(a, float) and isinstance(b, float):
        return abs(a - b) <= tolerance
    return bool(a == b)
