"""Scores of one crystal compared: by value, and by what is present at all."""

import math
from typing import Any

from xenolith.contract.names import status_name
from xenolith.v1 import oracle_pb2

__all__ = ["differences", "not_finite", "present"]

_EXACT = ("valid", "charge_neutral", "novel", "nearest_reference")
_ENERGIES = ("energy_per_atom", "e_above_hull", "formation_energy_per_atom")
_GEOMETRY = ("min_distance", "density", "volume_per_atom")
_DISTANCES = ("amd_distance", "elmd_distance", "continuous_novelty")
_DIVERSITIES = ("structure_diversity", "composition_diversity")
_OF_THE_BATCH = ("unique", "batch_amd_distance", "continuous_uniqueness", *_DIVERSITIES)
_OPTIONAL = (
    *_EXACT,
    *_ENERGIES,
    *_GEOMETRY,
    *_DISTANCES,
    *_OF_THE_BATCH,
    "duplicate_of",
    "relaxation",
    "forces",
)


def present(score: oracle_pb2.StructureScore) -> list[str]:
    """Return the names of the measurements that are present."""
    names = [name for name in _OPTIONAL if score.HasField(name)]
    lists = ("properties", "audits", "amd", "embedding", "decomposition")
    return names + [name for name in lists if len(getattr(score, name))]


def not_finite(score: oracle_pb2.StructureScore) -> list[str]:
    """Return the names of values that are NaN or infinite."""
    scalars = (*_ENERGIES, *_GEOMETRY, *_DISTANCES, *_OF_THE_BATCH)
    bad = [name for name in scalars if not math.isfinite(getattr(score, name))]
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
    tolerances: dict[str, float] = dict.fromkeys(_EXACT, 0.0)
    tolerances |= dict.fromkeys(_ENERGIES, energy_tolerance)
    tolerances |= dict.fromkeys((*_GEOMETRY, *_DISTANCES), 1e-4)
    if of_the_batch:
        tolerances |= {"unique": 0.0, "batch_amd_distance": 1e-4, "continuous_uniqueness": 1e-4}
        tolerances |= dict.fromkeys(_DIVERSITIES, 1e-5)
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


def _close(a: Any, b: Any, tolerance: float) -> bool:
    if isinstance(a, float) and isinstance(b, float):
        return abs(a - b) <= tolerance
    return bool(a == b)
