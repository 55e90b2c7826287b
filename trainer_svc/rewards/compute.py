"""From measurements to rewards: field, transform, floor, normalisation, weighted sum."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainer_svc.measurements import FloatColumn, Measurements
from trainer_svc.rewards.fields import field_values, is_suspicious
from trainer_svc.rewards.spec import RewardSpec, TermSpec

__all__ = ["Rewards", "TermValues", "compute_rewards"]

_DEVIATION_FLOOR = 1e-6


@dataclass(frozen=True, kw_only=True)
class TermValues:
    """One term of a batch of B structures, at each stage."""

    label: str
    raw: FloatColumn
    """(B,) as measured; NaN where absent."""
    transformed: FloatColumn
    """(B,) after transform and floor; always finite."""
    normalised: FloatColumn
    """(B,) what enters the weighted sum; always finite."""
    floored: NDArray[np.bool_]
    """(B,) whether the floor was given."""


@dataclass(frozen=True, kw_only=True)
class Rewards:
    """Rewards of a batch of B structures."""

    total: FloatColumn
    """(B,) weighted sum of the normalised terms; always finite."""
    plain: FloatColumn
    """(B,) weighted sum of the transformed terms before normalisation: comparable between steps."""
    terms: tuple[TermValues, ...]
    reason: tuple[str, ...]
    """(B,) why floors were given: a status, ``SUSPICIOUS_ENERGY``, or empty."""


def compute_rewards(measured: Measurements, groups: NDArray[np.int64], spec: RewardSpec) -> Rewards:
    """Value a batch of measured structures.

    Parameters
    ----------
    measured
        Oracle measurements of B structures.
    groups
        (B,) group index of each structure; normalisation ``group`` stays inside.
    spec
        What is worth how much.

    Returns
    -------
    Rewards
        Finite for every structure, whatever its measurements are.
    """
    if groups.shape != (len(measured),):
        raise ValueError(f"groups has shape {groups.shape}, expected ({len(measured)},)")
    terms = tuple(
        _term(label, term, measured, groups, spec)
        for label, term in zip(spec.labels, spec.terms, strict=True)
    )
    weights = np.array([term.weight for term in spec.terms])
    return Rewards(
        total=weights @ np.stack([term.normalised for term in terms]),
        plain=weights @ np.stack([term.transformed for term in terms]),
        terms=terms,
        reason=_reasons(measured, spec),
    )


def _term(
    label: str, term: TermSpec, measured: Measurements, groups: NDArray[np.int64], spec: RewardSpec
) -> TermValues:
    raw = field_values(term.field, measured, spec)
    # A structure that failed anywhere earns every floor: a partial measurement is no way to a reward.
    floored = np.isnan(raw) | ~measured.ok
    values = term.transform(raw)
    values = np.where(floored, _floor(term, values, floored), values)
    return TermValues(
        label=label, raw=raw, transformed=values, floored=floored, normalised=_normalise(values, groups, term)
    )


def _floor(term: TermSpec, values: FloatColumn, floored: NDArray[np.bool_]) -> float:
    if not isinstance(term.floor, str):
        return term.floor
    good = values[~floored]
    return float(good.min()) if good.size else 0.0


def _normalise(values: FloatColumn, groups: NDArray[np.int64], term: TermSpec) -> FloatColumn:
    if term.normalise == "none":
        return values
    if term.normalise == "batch":
        return _standardise(values)
    normalised = np.empty_like(values)
    for group in np.unique(groups):
        normalised[groups == group] = _standardise(values[groups == group])
    return normalised


def _standardise(values: FloatColumn) -> FloatColumn:
    deviation = values.std()
    # Equal values carry no preference; dividing by a tiny deviation would turn rounding into one.
    return (values - values.mean()) / deviation if deviation > _DEVIATION_FLOOR else np.zeros_like(values)


def _reasons(measured: Measurements, spec: RewardSpec) -> tuple[str, ...]:
    suspicious = is_suspicious(measured, spec.stability)
    return tuple(
        status if status != "OK" else ("SUSPICIOUS_ENERGY" if odd else "")
        for status, odd in zip(measured.status, suspicious, strict=True)
    )
