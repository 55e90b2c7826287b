"""Criteria that a structure has to meet to be followed up."""

from dataclasses import dataclass

from xenolith.headlines import METASTABLE_BELOW

__all__ = ["Criteria"]


@dataclass(frozen=True, kw_only=True)
class Criteria:
    """Bounds of a selection; all of them are of the relaxed structure, unless they say otherwise."""

    count: int = 20
    """Most structures to choose."""
    pool: int = 60
    """Structures that are relaxed: those that lie lowest above the hull as given."""
    avoid: frozenset[int] = frozenset()
    """Atomic numbers that no chosen structure holds."""
    most_atoms: int = 40
    """Atoms of a cell: larger ones are dear to compute."""
    below: float = METASTABLE_BELOW
    """eV/atom above the hull; every judge has to put the structure lower."""
    balanced: bool = True
    """Leave out compositions whose common oxidation states cannot balance; metals among themselves pass."""
    per_prototype: int = 1
    """Most chosen structures of one prototype."""
    per_system: int = 2
    """Most chosen structures of one chemical system (set of elements)."""
    element_share: float = 0.4
    """No element is in more than this share of `count` (but in one at least)."""
