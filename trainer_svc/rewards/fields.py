"""Fields of a reward: the oracle's own, and two that the trainer derives (creativity, stability)."""

import numpy as np
from numpy.typing import NDArray

from trainer_svc.measurements import FloatColumn, Measurements
from trainer_svc.rewards.spec import CreativitySpec, RewardSpec, StabilitySpec

__all__ = ["creativity", "duplicate_counts", "field_values", "is_suspicious", "stability"]

_ABSURD = 1e12


def field_values(name: str, measured: Measurements, spec: RewardSpec) -> FloatColumn:
    """Give one raw field of a batch.

    Returns
    -------
    (B,) float64
        NaN where the field is absent, not finite, or not to be believed (a suspiciously low energy).
    """
    if name == "creativity":
        column = creativity(measured, spec.creativity)
    elif name == "stability":
        column = stability(measured, spec.stability)
    else:
        column = measured.column(name)
    # Beyond this no physical quantity lives, and squares of it would overflow.
    with np.errstate(invalid="ignore"):
        return np.where(np.abs(column) < _ABSURD, column, np.nan)


def creativity(measured: Measurements, spec: CreativitySpec) -> FloatColumn:
    """Value uniqueness and novelty, bounded to [0, 1].

    Chemeleon2's creativity (arXiv 2511.07158) falls back to an unbounded AMD distance, which can exceed the
    reward of a truly creative structure; here the fallback is ``partial * d / (d + scale) < partial``.
    """
    novel, unique = measured.column("novel"), measured.column("unique")
    distance = np.nan_to_num(np.maximum(measured.column("amd_distance"), 0.0), nan=0.0, posinf=0.0)
    fallback = spec.partial * distance / (distance + spec.scale)
    copies = duplicate_counts(measured)
    if spec.share_duplicates:
        credit = np.where(novel == 1.0, 1.0, fallback) / copies
    else:
        credit = np.where(unique == 1.0, np.where(novel == 1.0, 1.0, fallback), 0.0)
    return np.where(np.isnan(novel) | np.isnan(unique), np.nan, credit)


def duplicate_counts(measured: Measurements) -> NDArray[np.int64]:
    """Count, for each structure, the equal structures of the batch, itself included; (B,) int64."""
    own = np.arange(len(measured))
    if measured.duplicate_of is None:
        return np.ones_like(own)
    first = np.where(measured.duplicate_of >= 0, measured.duplicate_of, own)
    return np.bincount(first, minlength=len(measured))[first]


def stability(measured: Measurements, spec: StabilitySpec) -> FloatColumn:
    """Give ``-e_above_hull`` (eV/atom), NaN where the energy is suspiciously low."""
    return np.where(is_suspicious(measured, spec), np.nan, -measured.column("e_above_hull"))


def is_suspicious(measured: Measurements, spec: StabilitySpec) -> NDArray[np.bool_]:
    """Tell where the energy lies so far below the hull that the calculator was probably fooled; (B,) bool."""
    with np.errstate(invalid="ignore"):
        return measured.column("e_above_hull") < -spec.suspicious_below
