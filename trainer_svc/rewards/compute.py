"""From measurements to rewards: metric, transform, normalisation, weighted sum, floor."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainer_svc.rewards.measurements import FloatColumn, Measurements
from trainer_svc.rewards.metrics import element_values, invalid_reasons, metric_values
from trainer_svc.rewards.spec import RewardSpec, RewardTerm
from xenolith.crystal import CrystalBatch

__all__ = ["Rewards", "TermValues", "compute_rewards"]

_ZERO_SPREAD = 1e-6
"""Equal values carry no preference; dividing by a tiny spread would turn rounding into one."""


@dataclass(frozen=True, kw_only=True)
class TermValues:
    """One term of a batch of B structures, at each stage."""

    name: str
    raw: FloatColumn
    """(B,) as measured; NaN where absent."""
    transformed: FloatColumn
    """(B,) after the transform, with failed_value where given; NaN where the term says nothing."""
    normalised: FloatColumn
    """(B,) what enters the weighted sum; always finite."""


@dataclass(frozen=True, kw_only=True)
class Rewards:
    """Rewards of a batch of B structures."""

    total: FloatColumn
    """(B,) what the policy learns from; always finite."""
    plain: FloatColumn
    """(B,) weighted sum without any normalisation: comparable between steps; always finite."""
    terms: tuple[TermValues, ...]
    reasons: tuple[str, ...]
    """(B,) why the floor was given: a status, ``SUSPICIOUS_ENERGY``, or empty."""

    def first(self, count: int) -> "Rewards":
        """Give those of the first structures alone."""
        terms = tuple(
            TermValues(
                name=term.name,
                raw=term.raw[:count],
                transformed=term.transformed[:count],
                normalised=term.normalised[:count],
            )
            for term in self.terms
        )
        total, plain = self.total[:count], self.plain[:count]
        return Rewards(total=total, plain=plain, terms=terms, reasons=self.reasons[:count])


def compute_rewards(
    measured: Measurements,
    groups: NDArray[np.int64],
    spec: RewardSpec,
    crystals: CrystalBatch | None = None,
) -> Rewards:
    """Value a batch of measured structures.

    Parameters
    ----------
    measured
        Oracle measurements of B structures.
    groups
        (B,) group index of each structure; normalisations named ``group_*`` stay inside.
    spec
        What is worth how much.
    crystals
        The structures; needed where the spec prefers elements.

    Returns
    -------
    Rewards
        Finite for every structure, whatever its measurements are.
    """
    if groups.shape != (len(measured),):
        raise ValueError(f"groups has shape {groups.shape}, expected ({len(measured)},)")
    reasons = invalid_reasons(measured, spec)
    valid = np.array([not reason for reason in reasons], dtype=bool)
    raw = {term.name: metric_values(term.metric, measured, spec, term.caution) for term in spec.terms}
    gates = _gates(spec, raw)
    terms = tuple(_term(term, raw[term.name], gates.get(term.gate), valid, groups) for term in spec.terms)
    weights = np.array([term.weight for term in spec.terms])
    if spec.elements.avoid or spec.elements.favour:
        if crystals is None:
            raise ValueError("the reward prefers elements, so the crystals are needed")
        values = element_values(crystals, spec.elements)
        terms = (*terms, TermValues(name="elements", raw=values, transformed=values, normalised=values))
        weights = np.append(weights, spec.elements.weight)
    total = weights @ np.stack([term.normalised for term in terms])
    plain = weights @ np.stack([_neutral(term.transformed, term.transformed[valid]) for term in terms])
    return Rewards(
        total=_with_floor(total, valid, spec),
        plain=_with_floor(plain, valid, spec),
        terms=terms,
        reasons=reasons,
    )


def _gates(spec: RewardSpec, raw: dict[str, FloatColumn]) -> dict[str, FloatColumn]:
    """Values in [0, 1] of the terms that gate others, by name; none where the terms are just added."""
    if spec.combine == "sum":
        return {}
    named = {term.gate for term in spec.terms if term.gate}
    return {
        term.name: np.clip(np.nan_to_num(term.transform(raw[term.name])), 0.0, 1.0)
        for term in spec.terms
        if term.name in named
    }


def _term(
    term: RewardTerm,
    raw: FloatColumn,
    gate: FloatColumn | None,
    valid: NDArray[np.bool_],
    groups: NDArray[np.int64],
) -> TermValues:
    values = term.transform(raw) if gate is None else gate * term.transform(raw)
    if term.failed_value is not None:
        values = np.where(np.isnan(values), term.failed_value, values)
    values = np.where(valid, values, np.nan)
    normalised = np.zeros_like(values)
    scopes = groups if term.normalization.startswith("group") else np.zeros_like(groups)
    for scope in np.unique(scopes):
        members = scopes == scope
        normalised[members] = _normalise(values[members], term)
    return TermValues(name=term.name, raw=raw, transformed=values, normalised=normalised)


def _normalise(values: FloatColumn, term: RewardTerm) -> FloatColumn:
    good = values[np.isfinite(values)]
    if good.size == 0:
        return np.zeros_like(values)
    if term.normalization == "none":
        return _neutral(values, good)
    standard = term.normalization.endswith("standard")
    centre, spread = (good.mean(), good.std()) if standard else (good.min(), np.ptp(good))
    if spread < _ZERO_SPREAD:
        return np.zeros_like(values)
    return _neutral((values - centre) / spread, (good - centre) / spread)


def _neutral(values: FloatColumn, good: FloatColumn) -> FloatColumn:
    """Give structures without a value the mean of the others, which moves them neither up nor down."""
    good = good[np.isfinite(good)]
    return np.where(np.isfinite(values), values, good.mean() if good.size else 0.0)


def _with_floor(total: FloatColumn, valid: NDArray[np.bool_], spec: RewardSpec) -> FloatColumn:
    worst = float(total[valid].min()) if valid.any() else 0.0
    return np.where(valid, total, worst if spec.invalid_reward is None else spec.invalid_reward)
