"""Metrics that a reward values: the oracle's columns, and those that the trainer computes itself."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainer_svc.rewards.measurements import EMBEDDING_DIVERSITY, FloatColumn, Measurements
from trainer_svc.rewards.spec import CreativitySpec, ElementSpec, RewardSpec, RewardTerm
from xenolith.contract.columns import NUMBERS, RELAXED_NUMBERS
from xenolith.crystal import CrystalBatch
from xenolith.elements import atomic_numbers

__all__ = [
    "DERIVED",
    "FOUND_BEFORE",
    "METRICS",
    "Derived",
    "columns_of",
    "creativity",
    "duplicate_counts",
    "element_values",
    "invalid_reasons",
    "is_metric",
    "metric_values",
]

FOUND_BEFORE = "found_before"
"""Column of how many valid crystals of the same formula earlier steps of the run made."""

_ABSURD = 1e12
"""Beyond this no physical quantity lives, and squares of it would overflow."""


_SPREAD = "committee_spread"
"""Column that a term with `caution` adds."""


@dataclass(frozen=True, kw_only=True)
class Derived:
    """A metric that the trainer computes itself."""

    value: Callable[[Measurements, RewardSpec], FloatColumn]
    """From the measurements of B structures to (B,) values, NaN where there is none."""
    needs: tuple[str, ...]
    """Columns of the oracle that it follows from; none where it follows from the samples alone."""


DERIVED: dict[str, Derived] = {
    "creativity": Derived(
        value=lambda measured, spec: creativity(measured, spec.creativity),
        needs=("novel", "unique", "amd_distance"),
    ),
    EMBEDDING_DIVERSITY: Derived(value=lambda measured, _: measured.column(EMBEDDING_DIVERSITY), needs=()),
}
"""By name. A row is all that a further one takes."""

METRICS = (*NUMBERS, *(f"relaxation.{name}" for name in RELAXED_NUMBERS), *DERIVED)
"""What a reward can value, beside ``properties.<name>``."""


def is_metric(name: str) -> bool:
    """Whether a reward can value this."""
    return name in METRICS or (name.startswith("properties.") and name != "properties.")


def columns_of(term: RewardTerm) -> tuple[str, ...]:
    """Return the oracle's columns that a term of a reward needs."""
    derived = DERIVED.get(term.metric)
    needed = (term.metric,) if derived is None else derived.needs
    return (*needed, _SPREAD) if term.caution else needed


def metric_values(metric: str, measured: Measurements, spec: RewardSpec, caution: float = 0.0) -> FloatColumn:
    """Give one metric of a batch.

    Parameters
    ----------
    caution
        How many times the spread of the judges is added to it.

    Returns
    -------
    (B,) float64
        NaN where it was not measured or is no number.
    """
    derived = DERIVED.get(metric)
    column = measured.column(metric) if derived is None else derived.value(measured, spec)
    if caution:
        column = column + caution * measured.column(_SPREAD)
    with np.errstate(invalid="ignore"):
        return np.where(np.abs(column) < _ABSURD, column, np.nan)


def creativity(measured: Measurements, spec: CreativitySpec) -> FloatColumn:
    """Value uniqueness and novelty, bounded to [0, 1].

    The creativity of arXiv 2511.07158 falls back to an unbounded AMD distance, which can exceed the
    reward of a truly creative structure; here the fallback is ``partial * d / (d + scale) < partial``.
    """
    novel, unique = measured.column("novel"), measured.column("unique")
    distance = np.nan_to_num(np.maximum(measured.column("amd_distance"), 0.0), nan=0.0, posinf=0.0)
    fallback = spec.partial * distance / (distance + spec.scale)
    credit = np.where(novel == 1.0, 1.0, fallback)
    shared = (
        credit / duplicate_counts(measured) if spec.share_duplicates else np.where(unique == 1.0, credit, 0.0)
    )
    remembered = shared / (1.0 + spec.memory * np.nan_to_num(measured.column(FOUND_BEFORE)))
    return np.where(np.isnan(novel) | np.isnan(unique), np.nan, remembered)


def element_values(crystals: CrystalBatch, spec: ElementSpec) -> FloatColumn:
    """Value the elements of B crystals: (B,) from -1 to 1, before the weight."""
    avoid, favour = (np.array(sorted(atomic_numbers(names))) for names in (spec.avoid, spec.favour))
    owner = np.repeat(np.arange(len(crystals)), crystals.num_atoms)
    bad = np.bincount(owner[np.isin(crystals.numbers, avoid)], minlength=len(crystals)) > 0
    good = np.bincount(owner[np.isin(crystals.numbers, favour)], minlength=len(crystals))
    return good / crystals.num_atoms - bad


def duplicate_counts(measured: Measurements) -> NDArray[np.int64]:
    """Count, for each structure, the equal structures of the batch, itself included; (B,) int64."""
    own = np.arange(len(measured))
    if measured.duplicate_of is None:
        return np.ones_like(own)
    first = np.where(measured.duplicate_of >= 0, measured.duplicate_of, own)
    return np.bincount(first, minlength=len(measured))[first]


def invalid_reasons(measured: Measurements, spec: RewardSpec) -> tuple[str, ...]:
    """Say why each structure earns the floor; empty for those that do not.

    Only a structure that passed the validity gate can earn; one whose energy lies so far below the hull that
    the calculator was probably fooled counts as failed, or the policy would learn to fool it.
    """
    valid = measured.column("valid") == 1.0
    with np.errstate(invalid="ignore"):
        suspicious = measured.column("e_above_hull") < -spec.suspicious_below
    return tuple(
        status
        if not good and status != "OK"
        else "INVALID"
        if not good
        else "SUSPICIOUS_ENERGY"
        if odd
        else ""
        for status, good, odd in zip(measured.status, valid, suspicious, strict=True)
    )
