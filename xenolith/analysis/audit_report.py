"""Results of an audit, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["CLAIMS", "AuditReport", "Disagreement"]

CLAIMS = ("msun", "sun")
"""Headline metrics whose claims a second calculator can confirm."""


@dataclass(frozen=True, kw_only=True)
class Disagreement:
    """A structure on which the two part."""

    source: str
    formula: str
    scored: float
    """eV/atom above hull by the scoring calculator."""
    audited: float
    """eV/atom above hull by the auditor, on the report's basis."""
    excess: float
    """How much further up the auditor puts it than it does in the median, eV/atom."""
    flagged: bool
    """Whether the score is probably an artefact of the scoring calculator."""
    reason: str
    """Why it is flagged."""


@dataclass(frozen=True, kw_only=True)
class AuditReport:
    """Results of an audit. Energies are in eV/atom."""

    calculator: str
    """The auditor."""
    scoring_calculator: str
    basis: str
    """`hull`: energies above each calculator's own hull. `elements`: the auditor has no hull, so the
    difference of energies is compared after an offset per element was fitted; shifts and claims mean nothing
    then."""
    structures: int
    measured: int
    """Structures that both measured."""
    spearman: float | None
    kendall: float | None
    mean_shift: float | None
    """Mean of audited minus scored."""
    median_shift: float | None
    spread: float | None
    """Robust standard deviation of audited minus scored."""
    quantiles: Mapping[str, tuple[float, float]]
    """Scored and audited distribution: level to (scored, audited)."""
    claims: Mapping[str, int]
    """Unique and novel structures that the scoring calculator calls metastable (`msun`) or stable (`sun`)."""
    surviving: Mapping[str, int]
    """How many of them the auditor calls the same; empty without a hull."""
    flagged: int
    worst: tuple[Disagreement, ...]
    """Largest disagreements first, flagged ones before others."""
    points: tuple[tuple[float, float, bool], ...] = field(repr=False)
    """Scored, audited and flagged, for each structure measured."""
    problems: Mapping[str, int]
    """Structures that the auditor did not measure, by reason."""
    warnings: tuple[str, ...]

    @property
    def msun_survival(self) -> float | None:
        """Share of the mSUN claims that survive; None without claims or hull."""
        claims = self.claims.get("msun", 0)
        return self.surviving["msun"] / claims if claims and "msun" in self.surviving else None

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready values; the points of the picture are left out."""
        plain = asdict(self)
        del plain["points"]
        return {**plain, "msun_survival": self.msun_survival}
