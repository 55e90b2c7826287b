"""One structure, and all that was measured of it on the way to the laboratory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from xenolith.client import Score
from xenolith.crystal import Crystal

__all__ = ["Comparison", "Examined"]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A relaxed structure beside one set of known crystals."""

    reference: str
    """Id of the set."""
    nearest: str
    """The nearest known crystal of its formula; empty if none has that formula."""
    amd_distance: float | None
    """AMD distance to it, Angstrom; None if there is none."""
    novel_by_amd: bool | None
    """Whether no known crystal is within the AMD tolerance."""
    novel_by_matcher: bool | None
    """Whether StructureMatcher finds no known crystal the same; None where the set keeps no structures."""


@dataclass(frozen=True, kw_only=True)
class Examined:
    """One structure of the pool."""

    source: str
    """Where it came from."""
    labels: Mapping[str, Any] = field(default_factory=dict)
    """What its file says of it, such as the step of the run that made it."""
    crystal: Crystal
    """The structure as the first judge relaxed it."""
    given: Score
    """Scores of the structure as given, and its relaxation."""
    relaxed: Score
    """Scores of the relaxed structure, measured as if it had been given."""
    comparisons: tuple[Comparison, ...]
    """One for each set of known crystals."""
    space_group: str
    """Hermann-Mauguin symbol and number of the relaxed structure."""
    prototype: str
    """Protostructure label without its elements, such as ``AB_cF8_225_a_b``."""

    @property
    def elements(self) -> frozenset[int]:
        """Its chemical system, as atomic numbers."""
        return frozenset(self.crystal.numbers.tolist())

    def judgements(self) -> dict[str, float | None]:
        """Energy of the relaxed structure above each judge's own hull, eV/atom, by the judge's id."""
        found = {self.relaxed.calculator: self.relaxed.e_above_hull}
        return found | {audit.calculator_id: audit.e_above_hull for audit in self.relaxed.audits}

    @property
    def worst_above_hull(self) -> float | None:
        """The highest of `judgements`, eV/atom; None if a judge has none."""
        values = list(self.judgements().values())
        known = [value for value in values if value is not None]
        return max(known) if len(known) == len(values) else None
