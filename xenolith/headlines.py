"""The headline metrics, defined once: what each is called, what it means, what it needs, how it follows.

A metric follows from columns of scores. Shares are of all structures, failed ones included: of a structure,
what was not measured is not achieved. A metric whose columns no structure has (no hull, no reference) is not
measured at all; `Headline.missing` says so.

Sources: *metastable* and *stable* as in arXiv 2511.07158, Methods, which is the convention of MatterGen and
LeMat-GenBench too. Graded metrics: M. Negishi, H. Park, K. O. Mastej and A. Walsh, arXiv 2510.12405, as in
their package `xtalmet` 2.0. Their novelty is a distance to the reference, so it depends on the reference, and
continuous SUN on the hull, as SUN does.

To add a metric, add it to `HEADLINES` or `GRADES`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from xenolith.contract.columns import COLUMNS

__all__ = [
    "DEFINITIONS",
    "GRADES",
    "HEADLINES",
    "METASTABLE_BELOW",
    "PRINCIPAL_HEADLINES",
    "RELAXED_HEADLINES",
    "STABLE_UP_TO",
    "UNSTABLE_FROM",
    "ColumnTable",
    "Columns",
    "Grade",
    "Headline",
    "Truths",
    "flags_of",
    "grade_means",
    "headline",
    "stability_grade",
]

Numbers = NDArray[np.float64]
Truths = NDArray[np.bool_]
"""Yes or no for each structure."""


class Columns(Protocol):
    """Measurements of B structures, by the name of their column."""

    def __len__(self) -> int: ...

    def column(self, name: str) -> Numbers:
        """Return (B,) values, truths as 0 and 1, NaN where absent; all NaN for a column that is missing."""


@dataclass(frozen=True, kw_only=True)
class ColumnTable:
    """Columns that are at hand."""

    size: int
    """Structures (B)."""
    values: Mapping[str, Numbers]
    """(B,) each."""

    def __len__(self) -> int:
        return self.size

    def column(self, name: str) -> Numbers:
        """Return one column."""
        return self.values.get(name, np.full(self.size, np.nan))


METASTABLE_BELOW = 0.1
"""Metastable: energy above the hull below this, eV/atom."""

STABLE_UP_TO = 1e-5
"""Stable: energy above the hull at most this, eV/atom.

A phase of the hull that is measured again comes out up to 3e-6 eV/atom off: calculators work in single
precision, and the order of sums changes with the batch. No physics is finer than this.
"""

UNSTABLE_FROM = 0.4289
"""eV/atom above the hull at which the grade of stability is 0; the published constant."""


DEFINITIONS = (
    f"metastable: energy above hull below {METASTABLE_BELOW:g} eV/atom; stable: at most "
    f"{STABLE_UP_TO:.0e}; SUN and mSUN: stable or metastable, and unique and novel"
).replace("e-0", "e-")
"""What the words of tables and pages mean, for a footnote."""


def stability_grade(e_above_hull: Numbers) -> Numbers:
    """(B,) grades in [0, 1] of energies above the hull (B,), eV/atom; 0 where there is none."""
    grades = np.clip(1.0 - e_above_hull / UNSTABLE_FROM, 0.0, 1.0)
    return np.where(np.isfinite(e_above_hull), grades, 0.0)


@dataclass(frozen=True, kw_only=True)
class _Metric:
    name: str
    """Its key in ``summary.json``, and its field in the contract's ``Evaluation``, which has a map for
    others."""
    label: str
    """As people write it."""
    words: str
    """What it means, for those who meet it in a table."""
    needs: tuple[str, ...]
    """Columns that it follows from; their components must have been measured."""
    unit: str = ""
    """Empty for a share or a grade, both in [0, 1]."""

    @property
    def components(self) -> tuple[int, ...]:
        """The oracle's components that measure what it needs, in the order of their numbers."""
        return tuple(sorted({COLUMNS[name].component for name in self.needs}))

    def missing(self, columns: Columns) -> tuple[str, ...]:
        """Return those columns that it needs and that no structure has; then it is not measured, and no 0."""
        return tuple(name for name in self.needs if not np.isfinite(columns.column(name)).any())


@dataclass(frozen=True, kw_only=True)
class Headline(_Metric):
    """A yes-or-no quality of a valid structure; the metric is the share of all structures that have it."""

    test: Callable[..., Truths]
    """Takes the columns of `needs`, (B,) each, in their order; false where they are NaN."""
    principal: bool = True
    """Whether it stands in tables of the most important figures."""

    def flags(self, columns: Columns) -> Truths:
        """(B,) which structures are valid and pass the test; what was not measured does not."""
        with np.errstate(invalid="ignore"):
            passed = self.test(*map(columns.column, self.needs))
        return _yes(columns.column("valid")) & passed


@dataclass(frozen=True, kw_only=True)
class Grade(_Metric):
    """How good a structure is, in [0, 1]; the metric is the mean over all structures."""

    grade: Callable[..., Numbers]
    """Takes the columns of `needs`, (B,) each, in their order; 0 where they are NaN."""

    def grades(self, columns: Columns) -> Numbers:
        """(B,) grades; what was not measured counts as 0."""
        return self.grade(*map(columns.column, self.needs))


def _yes(truths: Numbers) -> Truths:
    return np.asarray(truths == 1.0)


def _metastable(e_above_hull: Numbers) -> Truths:
    return np.asarray(e_above_hull < METASTABLE_BELOW)


def _stable(e_above_hull: Numbers) -> Truths:
    return np.asarray(e_above_hull <= STABLE_UP_TO)


HEADLINES: tuple[Headline, ...] = (
    Headline(
        name="valid",
        label="valid",
        words="distances, cell and density make sense",
        needs=("valid",),
        test=_yes,
    ),
    Headline(
        name="unique",
        label="unique",
        words="one of each set of equals counts",
        needs=("unique",),
        test=_yes,
    ),
    Headline(
        name="novel",
        label="novel",
        words="no known crystal is the same",
        needs=("novel",),
        test=_yes,
    ),
    Headline(
        name="metastable",
        label="metastable",
        words=f"below {METASTABLE_BELOW:g} eV/atom above hull",
        needs=("e_above_hull",),
        test=_metastable,
    ),
    Headline(
        name="stable",
        label="stable",
        words="on or below the hull",
        needs=("e_above_hull",),
        test=_stable,
    ),
    Headline(
        name="sun",
        label="SUN",
        words="stable, unique and novel",
        needs=("e_above_hull", "unique", "novel"),
        test=lambda energies, unique, novel: _stable(energies) & _yes(unique) & _yes(novel),
    ),
    Headline(
        name="msun",
        label="mSUN",
        words="metastable, unique and novel",
        needs=("e_above_hull", "unique", "novel"),
        test=lambda energies, unique, novel: _metastable(energies) & _yes(unique) & _yes(novel),
    ),
    Headline(
        name="charge_neutral",
        label="charge neutral",
        words="common oxidation states balance",
        needs=("charge_neutral",),
        test=_yes,
        principal=False,
    ),
)
"""Shares, in the order of ``summary.json``."""

PRINCIPAL_HEADLINES: tuple[Headline, ...] = tuple(metric for metric in HEADLINES if metric.principal)
"""Those that stand in tables of the most important figures."""

RELAXED_HEADLINES: tuple[Headline, ...] = tuple(
    metric for metric in HEADLINES if "e_above_hull" in metric.needs
)
"""Those that a relaxation changes: they are told of samples as drawn and of relaxed ones."""

GRADES: tuple[Grade, ...] = (
    Grade(
        name="continuous_stability",
        label="continuous stability",
        words=f"1 on the hull, 0 from {UNSTABLE_FROM} eV/atom above it",
        needs=("e_above_hull",),
        grade=stability_grade,
    ),
    Grade(
        name="continuous_uniqueness",
        label="continuous uniqueness",
        words="mean distance to the other samples",
        needs=("continuous_uniqueness",),
        grade=np.nan_to_num,
    ),
    Grade(
        name="continuous_novelty",
        label="continuous novelty",
        words="distance to the nearest known crystal",
        needs=("continuous_novelty",),
        grade=np.nan_to_num,
    ),
    Grade(
        name="continuous_sun",
        label="continuous SUN",
        words="product of graded stability, uniqueness and novelty",
        needs=("e_above_hull", "continuous_uniqueness", "continuous_novelty"),
        grade=lambda energies, unique, novel: (
            stability_grade(energies) * np.nan_to_num(unique) * np.nan_to_num(novel)
        ),
    ),
)
"""Means of grades between 0 and 1 instead of yes and no."""

_BY_NAME = {metric.name: metric for metric in HEADLINES}


def headline(name: str) -> Headline:
    """Return a share by its name."""
    return _BY_NAME[name]


def flags_of(columns: Columns) -> dict[str, Truths]:
    """Tell for each of B structures which headlines it makes: name -> (B,)."""
    return {metric.name: metric.flags(columns) for metric in HEADLINES}


def grade_means(columns: Columns, among: Truths | None = None) -> dict[str, float]:
    """Return the mean over B structures of each grade that was measured; empty if no graded metric was.

    Those that (B,) `among` says false to count as 0.
    """
    if not np.isfinite(columns.column("continuous_novelty")).any():
        return {}
    kept = 1.0 if among is None else among
    return {
        metric.name: float((metric.grades(columns) * kept).mean())
        for metric in GRADES
        if not metric.missing(columns)  # without a hull there is no continuous stability, and no 0 of it
    }
