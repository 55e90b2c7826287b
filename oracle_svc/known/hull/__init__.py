"""Convex hulls of known phases, one per chemical system, of one energy scheme each."""

from oracle_svc.known.hull.convex_hull import Hull, HullResult, Placement
from oracle_svc.known.hull.entries import (
    Composition,
    HullEntry,
    MixedSchemesError,
    Phase,
    System,
    composition_of,
)
from oracle_svc.known.hull.vertices import covered, reduce_to_vertices

__all__ = [
    "Composition",
    "Hull",
    "HullEntry",
    "HullResult",
    "MixedSchemesError",
    "Phase",
    "Placement",
    "System",
    "composition_of",
    "covered",
    "reduce_to_vertices",
]
