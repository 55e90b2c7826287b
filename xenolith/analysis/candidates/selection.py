"""Chooses among examined structures: every judge's worst opinion ranks, and the choice is spread."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from xenolith.analysis.audit_comparison import UNBELIEVABLE_BELOW
from xenolith.analysis.candidates.criteria import Criteria
from xenolith.analysis.candidates.examined import Examined
from xenolith.elements import SYMBOLS

__all__ = ["Selection", "select"]


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The choice."""

    chosen: tuple[Examined, ...]
    """The most promising first."""
    rejected: Mapping[str, str]
    """Why each of the others was left out, by its source."""


def select(examined: Sequence[Examined], criteria: Criteria) -> Selection:
    """Choose structures that every judge puts low, one of each prototype, spread over chemistries.

    They are ranked by `Examined.worst_above_hull`, the opinion of the most sceptical judge, and taken from
    the lowest up; one that would make the choice lopsided is passed over.
    """
    rejected: dict[str, str] = {}
    standing = []
    for one in examined:
        reason = _doubted(one, criteria)
        if reason:
            rejected[one.source] = reason
        else:
            standing.append(one)
    standing.sort(key=lambda one: (one.worst_above_hull or 0.0, one.source))
    chosen: list[Examined] = []
    prototypes: Counter[str] = Counter()
    systems: Counter[frozenset[int]] = Counter()
    elements: Counter[int] = Counter()
    most_of_element = max(1, round(criteria.element_share * criteria.count))
    for one in standing:
        crowded = sorted(z for z in one.elements if elements[z] >= most_of_element)
        if len(chosen) == criteria.count:
            rejected[one.source] = f"{criteria.count} lie lower"
        elif one.prototype and prototypes[one.prototype] >= criteria.per_prototype:
            rejected[one.source] = f"prototype {one.prototype} is there already, lower"
        elif systems[one.elements] >= criteria.per_system:
            names = "-".join(SYMBOLS[z] for z in sorted(one.elements))
            rejected[one.source] = f"{criteria.per_system} of the system {names} are there already, lower"
        elif crowded:
            rejected[one.source] = f"{SYMBOLS[crowded[0]]} is in {most_of_element} already, lower"
        else:
            chosen.append(one)
            prototypes[one.prototype] += 1
            systems[one.elements] += 1
            elements.update(one.elements)
    return Selection(chosen=tuple(chosen), rejected=rejected)


def _doubted(one: Examined, criteria: Criteria) -> str:
    """Return the objections of a judge to a structure; empty if there are none."""
    for judge, value in one.judgements().items():
        if value is None:
            return f"no opinion of {judge}"
        if value >= criteria.below:
            return f"{value:.3f} eV/atom above the hull, says {judge}"
        if value < UNBELIEVABLE_BELOW:
            return f"{value:.3f} eV/atom above the hull, says {judge}: not to be believed"
    return ""
