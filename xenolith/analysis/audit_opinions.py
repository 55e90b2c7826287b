"""Energies of two calculators on the same structures, one by one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from xenolith.client.results import Scores

__all__ = ["Opinion", "opinions_of"]


@dataclass(frozen=True, kw_only=True)
class Opinion:
    """One structure, as both calculators see it; None is what there is not."""

    source: str
    """Where the structure came from."""
    formula: str
    composition: Mapping[int, int]
    """Atoms by atomic number."""
    energy: float | None
    """eV/atom, on the scoring calculator's scheme."""
    above_hull: float | None
    """eV/atom, above the scoring calculator's hull."""
    audit_energy: float | None
    """eV/atom, on the auditor's scheme."""
    audit_above_hull: float | None
    """eV/atom, above the auditor's own hull."""
    creative: bool
    """Whether it is unique and novel."""
    problem: str = ""
    """Why the auditor has no opinion."""


def opinions_of(scores: Scores, calculator: str) -> list[Opinion]:
    """Return what the oracle and one of its auditors said; structures that were not scored are left out."""
    found = []
    for score in scores:
        if not score.valid or score.crystal is None:
            continue
        numbers, counts = np.unique(score.crystal.numbers, return_counts=True)
        audit = next((a for a in score.audits if a.calculator_id == calculator), None)
        found.append(
            Opinion(
                source=score.source,
                formula=score.formula,
                composition=dict(zip(numbers.tolist(), counts.tolist(), strict=True)),
                energy=score.energy_per_atom,
                above_hull=score.e_above_hull,
                audit_energy=None if audit is None else audit.energy_per_atom,
                audit_above_hull=None if audit is None else audit.e_above_hull,
                creative=bool(score.unique and score.novel),
                problem="not audited" if audit is None else ("" if audit.status == "OK" else audit.status),
            )
        )
    return found
