"""Answers of the oracle, as dataclasses."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import numpy.typing as npt

from xenolith.contract.names import status_name
from xenolith.crystal import Crystal
from xenolith.optional import require
from xenolith.v1 import crystal_pb2

if TYPE_CHECKING:
    import pandas as pd


__all__ = ["Audit", "HullPhase", "Provenance", "Relaxation", "Score", "Scores", "Status"]

Status = StrEnum(  # type: ignore[misc]  # the contract's names, without their prefix
    "Status",
    {name: name for name in map(status_name, crystal_pb2.StructureStatus.values())},
)
"""How a structure fared: ``OK``, ``MALFORMED``, ``TOO_CLOSE``, ...; documented in ``crystal.proto``."""


@dataclass(frozen=True, kw_only=True)
class Relaxation:
    """Values after relaxation."""

    status: str
    """``OK``, ``RELAXATION_FAILED``, ..."""
    message: str = ""
    """What is wrong, empty if OK."""
    converged: bool = False
    """Whether forces fell below the limit."""
    steps: int = 0
    """Steps taken."""
    max_force: float | None = None
    """Largest force at the end, eV/Angstrom."""
    energy_per_atom: float | None = None
    """eV/atom."""
    e_above_hull: float | None = None
    """eV/atom."""
    rmsd: float | None = None
    """Root mean square displacement, Angstrom."""
    volume_ratio: float | None = None
    """Volume after over volume before."""
    crystal: Crystal | None = field(default=None, repr=False)
    """The relaxed crystal, when asked for."""


@dataclass(frozen=True, kw_only=True)
class Audit:
    """The opinion of a second calculator."""

    calculator_id: str
    """Which calculator."""
    status: str
    """How it fared."""
    message: str = ""
    """What is wrong, empty if OK."""
    energy_per_atom: float | None = None
    """eV/atom, on its own scheme."""
    e_above_hull: float | None = None
    """eV/atom, against its own hull; None if it has none."""
    formation_energy_per_atom: float | None = None
    """eV/atom, against its own elements; None if it has no hull."""
    hull_id: str = ""
    """Its hull; empty if it has none."""


@dataclass(frozen=True, kw_only=True)
class HullPhase:
    """A known phase and its share of a decomposition."""

    id: str
    """Such as ``mp-22862``."""
    formula: str
    """Reduced formula."""
    fraction: float
    """Share of the atoms, in (0, 1]."""


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Calculator, reference and versions behind a measurement."""

    calculator_id: str = ""
    """Model and parameters; empty if no calculator was used."""
    calculator_version: str = ""
    """Version of its software."""
    reference_id: str = ""
    """Set of known structures."""
    hull_id: str = ""
    """Convex hull."""
    settings_digest: str = ""
    """Digest of everything that influences a value."""
    service_version: str = ""
    """Version of the oracle."""
    diversity_features: str = ""
    """What structure diversity compares; empty if it was not asked for."""
    calculator_scheme: str = ""
    """Energy scheme of the calculator; energies of different schemes never share a hull."""


@dataclass(frozen=True, kw_only=True)
class Score:
    """Everything measured of one structure. None is what was not measured."""

    source: str
    """Where the structure came from: a path, or its index."""
    formula: str = ""
    """Reduced formula."""
    status: str = "OK"
    """A name of `Status`."""
    message: str = ""
    """What is wrong and what to do, empty if OK."""
    notes: tuple[str, ...] = ()
    """What was assumed, merged, corrected or ignored in reading the structure."""
    valid: bool | None = None
    """Passes the geometric and physical gate."""
    charge_neutral: bool | None = None
    """Common oxidation states can balance."""
    min_distance: float | None = None
    """Smallest distance between atoms, Angstrom."""
    density: float | None = None
    """g/cm^3."""
    volume_per_atom: float | None = None
    """Angstrom^3."""
    energy_per_atom: float | None = None
    """eV/atom."""
    raw_energy_per_atom: float | None = None
    """Before the corrections that `energy_per_atom` holds, eV/atom; None of a calculator that needs none."""
    formation_energy_per_atom: float | None = None
    """eV/atom."""
    e_above_hull: float | None = None
    """eV/atom."""
    decomposition: tuple[HullPhase, ...] = ()
    """The most stable mixture of known phases at this composition, the largest share first."""
    unique: bool | None = None
    """It stands for all structures of the request that are the same: one of each kind is unique."""
    duplicate_of: int | None = None
    """Index of the structure that stands for this one."""
    batch_amd_distance: float | None = None
    """AMD distance to the nearest other structure of the request, Angstrom."""
    novel: bool | None = None
    """No known crystal is the same."""
    nearest_reference: str | None = None
    """Nearest known crystal of the same formula."""
    amd_distance: float | None = None
    """AMD distance to it, Angstrom."""
    elmd_distance: float | None = None
    """Element mover's distance to the nearest known composition."""
    continuous_uniqueness: float | None = None
    """Mean distance to all structures of the request, in [0, 1)."""
    continuous_novelty: float | None = None
    """Distance to the nearest known crystal of any formula, in [0, 1)."""
    structure_diversity: float | None = None
    """Contribution to the batch's diversity in structure space."""
    composition_diversity: float | None = None
    """Contribution to the batch's diversity in composition space."""
    properties: Mapping[str, float] = field(default_factory=dict)
    """Predicted properties by name."""
    relaxation: Relaxation | None = None
    """Values after relaxation, when asked for."""
    audits: tuple[Audit, ...] = ()
    """Second opinions."""
    committee_e_above_hull: float | None = None
    """Mean of `e_above_hull` over scoring calculator and audits, eV/atom; None unless all have one."""
    committee_spread: float | None = None
    """Standard deviation of the same, eV/atom: how far the judges part."""
    components: Mapping[str, str] = field(default_factory=dict)
    """Status of each component, such as ``{"STABILITY": "OK"}``."""
    calculator: str = ""
    """Calculator id."""
    reference: str = ""
    """Reference id."""
    amd: npt.NDArray[np.float32] | None = field(default=None, repr=False)
    """(k,) AMD vector, Angstrom, when asked for."""
    embedding: npt.NDArray[np.float32] | None = field(default=None, repr=False)
    """(D,) embedding, when asked for."""
    forces: npt.NDArray[np.float64] | None = field(default=None, repr=False)
    """(N, 3) eV/Angstrom, when asked for."""
    stress: npt.NDArray[np.float64] | None = field(default=None, repr=False)
    """(3, 3) GPa, when asked for."""
    crystal: Crystal | None = field(default=None, repr=False)
    """The structure itself."""

    @property
    def ok(self) -> bool:
        """Whether everything asked for was measured."""
        return self.status == "OK"

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready values; arrays only where they were asked for, the crystal itself left out."""
        plain = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "crystal"}
        for name in ("amd", "embedding", "forces", "stress"):
            array = plain.pop(name)
            if array is not None:
                plain[name] = array.tolist()
        plain["relaxation"] = _plain(self.relaxation)
        plain["decomposition"] = [_plain(phase) for phase in self.decomposition]
        plain["audits"] = [_plain(audit) for audit in self.audits]
        plain["properties"] = dict(self.properties)
        plain["components"] = dict(self.components)
        plain["notes"] = list(self.notes)
        return plain


@dataclass(frozen=True, kw_only=True)
class Scores(Sequence[Score]):
    """Scores in the order of the structures given."""

    scores: tuple[Score, ...]
    """One per structure."""
    provenance: Provenance
    """What measured them."""
    cache_hits: int = 0
    """Component values taken from the cache."""
    cache_misses: int = 0
    """Component values computed."""
    calculator_calls: int = 0
    """Structures handed to a calculator."""
    seconds: Mapping[str, float] = field(default_factory=dict)
    """Seconds by stage."""
    warnings: tuple[str, ...] = ()
    """What the user should know."""

    def __len__(self) -> int:
        return len(self.scores)

    @overload
    def __getitem__(self, index: int) -> Score: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Score, ...]: ...
    def __getitem__(self, index: int | slice) -> Score | tuple[Score, ...]:
        return self.scores[index]

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return JSON-ready values, one mapping per structure."""
        return [score.to_dict() for score in self.scores]

    def to_pandas(self) -> "pd.DataFrame":
        """Return a table, one row per structure (needs pandas)."""
        pandas: Any = require("pandas", "generator")
        return pandas.DataFrame(self.to_dicts())


def _plain(thing: Any) -> dict[str, Any] | None:
    if thing is None:
        return None
    return {f.name: getattr(thing, f.name) for f in fields(thing) if f.name != "crystal"}
