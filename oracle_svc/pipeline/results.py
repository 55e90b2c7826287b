"""Options and scores as plain dataclasses, free of the wire. Names and units are the contract's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oracle_svc.known.hull import Phase
from oracle_svc.known.novelty.matcher import MatcherOptions
from oracle_svc.relaxation import Relaxed, RelaxSettings
from oracle_svc.status import Outcome, Status
from xenolith.contract.components import DEFAULT_COMPONENTS
from xenolith.crystal import Crystal, CrystalBatch

__all__ = ["Audit", "Component", "Outcome", "Provenance", "Score", "ScoreOptions", "ScoredBatch", "Stats"]


class Component(IntEnum):
    """Components that can be measured; the numbers are those of the contract."""

    VALIDITY = 1
    STABILITY = 2
    NOVELTY = 3
    UNIQUENESS = 4
    STRUCTURE_DIVERSITY = 5
    COMPOSITION_DIVERSITY = 6
    PROPERTIES = 7
    AUDIT = 8
    CONTINUOUS = 9


@dataclass(frozen=True, kw_only=True)
class ScoreOptions:
    """How to score a batch."""

    components: frozenset[Component] = frozenset(map(Component, DEFAULT_COMPONENTS))
    amd_tolerance: float | None = None
    """Largest AMD distance of the same crystal, Angstrom; None: the reference's calibrated one."""
    matcher: MatcherOptions | None = None
    """Judge sameness by StructureMatcher with these tolerances instead of AMD."""
    known: CrystalBatch | None = None
    """Further crystals that count as known."""
    properties: tuple[str, ...] = ()
    """Names of the properties wanted; empty: all there are."""
    audit_calculator_ids: tuple[str, ...] = ()
    """Ids of the second calculators wanted; empty: all there are."""
    structure_limit_s: float | None = None
    """Time limit of a structure in the calculator, seconds; None: the oracle's."""
    relax: RelaxSettings | None = None
    """Relax what has an energy; None: do not."""
    return_relaxed: bool = False
    """Return the relaxed crystals."""
    return_forces: bool = False
    return_amd: bool = False
    return_embeddings: bool = False
    use_cache: bool = True
    reference_id: str = ""
    """Reference to measure against; empty: the oracle's first."""


@dataclass(kw_only=True)
class RelaxedScore:
    """The relaxation of a structure."""

    outcome: Relaxed
    e_above_hull: float | None = None
    crystal: Crystal | None = None
    """In the cell, orientation and order of atoms of the structure as given; None unless asked for."""


@dataclass(frozen=True, kw_only=True)
class Audit:
    """Opinion of a second calculator on a structure."""

    calculator_id: str
    status: Status
    message: str = ""
    energy_per_atom: float | None = None
    """eV/atom, on its own scheme."""
    e_above_hull: float | None = None
    """eV/atom, above its own hull; None without one."""
    formation_energy_per_atom: float | None = None
    """eV/atom, against its own elemental references; None without a hull."""
    hull_id: str = ""


@dataclass(kw_only=True)
class Score:
    """Everything measured of one structure; None is "not measured"."""

    outcomes: dict[Component, Outcome] = field(default_factory=dict)
    formula: str = ""
    valid: bool | None = None
    min_distance: float | None = None
    density: float | None = None
    volume_per_atom: float | None = None
    charge_neutral: bool | None = None
    energy_per_atom: float | None = None
    raw_energy_per_atom: float | None = None
    e_above_hull: float | None = None
    formation_energy_per_atom: float | None = None
    decomposition: tuple[Phase, ...] = ()
    relaxation: RelaxedScore | None = None
    forces: NDArray[np.float64] | None = None
    """(N, 3) eV/Angstrom."""
    stress: NDArray[np.float64] | None = None
    """(3, 3) eV/Angstrom^3, positive under tension."""
    novel: bool | None = None
    nearest_reference: str | None = None
    amd_distance: float | None = None
    elmd_distance: float | None = None
    unique: bool | None = None
    duplicate_of: int | None = None
    batch_amd_distance: float | None = None
    continuous_uniqueness: float | None = None
    continuous_novelty: float | None = None
    structure_diversity: float | None = None
    composition_diversity: float | None = None
    properties: dict[str, float] = field(default_factory=dict)
    audits: list[Audit] = field(default_factory=list)
    committee_e_above_hull: float | None = None
    committee_spread: float | None = None
    amd: NDArray[np.float64] | None = None
    embedding: NDArray[np.float32] | None = None

    @property
    def verdict(self) -> Outcome:
        """OK if every component is, else the first failure in the order of the components' numbers."""
        for component in sorted(self.outcomes):
            if self.outcomes[component].status is not Status.OK:
                return self.outcomes[component]
        return Outcome(status=Status.OK)


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Settings and sources of the scores of a batch."""

    calculator_id: str
    calculator_version: str
    reference_id: str
    hull_id: str
    settings_digest: str
    """SHA-256 (hex) of everything that influences a value."""
    amd_tolerance: float
    matcher: MatcherOptions | None
    diversity_features: str = ""
    """What structure diversity compares; empty if it was not asked for."""
    property_digests: Mapping[str, str] = field(default_factory=dict)
    """Digest of each property asked for."""
    calculator_settings: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the calculator, resolved: JSON."""
    calculator_scheme: str = ""
    """Energy scheme of the calculator."""


@dataclass(kw_only=True)
class Stats:
    """The cost of a batch."""

    cache_hits: int = 0
    cache_misses: int = 0
    calculator_calls: int = 0
    seconds: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ScoredBatch:
    """Scores of a batch, in its order."""

    scores: tuple[Score, ...]
    provenance: Provenance
    stats: Stats
    warnings: tuple[str, ...]
    shares: tuple[Stats, ...] = ()
    """Cost of each structure, where each is a request of its own."""
