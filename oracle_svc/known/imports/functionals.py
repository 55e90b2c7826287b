"""Which functional an entry of a data base was computed with, and whether it carries its corrections."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from oracle_svc.known.hull import Composition
from xenolith.elements import ELECTRONEGATIVITY, atomic_number

__all__ = ["GGA", "MIXED", "R2SCAN", "functional_of", "is_corrected", "is_mixed", "needs_corrections"]

GGA = "GGA/GGA+U"
R2SCAN = "r2SCAN"
MIXED = "MP2022-mixed GGA/GGA+U/r2SCAN"
_FAMILIES = {"gga": GGA, "ggau": GGA, "pbe": GGA, "pbeu": GGA, "r2scan": R2SCAN}
_ENDING = re.compile(r"-(GGA(?:[_+]U)?|PBE(?:[_+]U)?|r2SCAN|SCAN|PBEsol|LDA|HSE06?)$", re.IGNORECASE)
_CORRECTED_ANIONS = frozenset(map(atomic_number, ("O", "F", "Cl", "Br", "I", "N", "S", "Se", "Te", "H")))
"""Anions to which MaterialsProject2020Compatibility gives an energy of their own (A. Wang et al., 2021)."""


def functional_of(thing: Mapping[str, Any]) -> str:
    """Return the functional of an entry: GGA and GGA+U are one scheme; empty if nothing says it.

    An entry that the mixing scheme has moved to the hull of another functional is of neither.

    It is told by ``parameters.run_type``, ``data.run_type``, or the end of the entry's id: mp-1960-GGA.
    """
    if is_mixed(thing):
        return MIXED
    for place in ("parameters", "data"):
        held = thing.get(place)
        told = held.get("run_type") if isinstance(held, Mapping) else None
        if told:
            return _family(str(told))
    found = _ENDING.search(str(thing.get("entry_id") or ""))
    return _family(found[1]) if found else ""


def is_corrected(thing: Mapping[str, Any]) -> bool:
    """Tell whether corrections were applied to an entry."""
    return bool(thing.get("energy_adjustments") or thing.get("correction"))


def is_mixed(thing: Mapping[str, Any]) -> bool:
    """Tell whether the mixing scheme of GGA and r2SCAN was applied to an entry."""
    adjustments = thing.get("energy_adjustments")
    members = adjustments if isinstance(adjustments, list) else []
    return any("mixing" in str(adjustment).lower() for adjustment in members)


def needs_corrections(composition: Composition) -> bool:
    """Tell whether MP2020 corrects a composition: its most electronegative element is a corrected anion."""
    elements = [z for z, _ in composition]
    return len(elements) > 1 and max(elements, key=_pull) in _CORRECTED_ANIONS


def _pull(z: int) -> float:
    value = ELECTRONEGATIVITY[z]
    return value if value == value else 0.0  # noble gases have none


def _family(functional: str) -> str:
    plain = re.sub(r"[^a-z0-9]", "", functional.lower())
    return _FAMILIES.get(plain, functional)
