"""Disorder: the parents of ordered crystals, their orderings, and the temperature at which order is lost."""

from xenolith.analysis.disorder.folder import write_disorder
from xenolith.analysis.disorder.mixing import Bounds, Mixing, mixing_tests
from xenolith.analysis.disorder.occupancy_cif import occupancy_cif
from xenolith.analysis.disorder.orderings import Ordering, enumerate_orderings, quasi_random_cells
from xenolith.analysis.disorder.parent import DisorderedParent, parent_of
from xenolith.analysis.disorder.sharing import could_share, sharing_sets

__all__ = [
    "Bounds",
    "DisorderedParent",
    "Mixing",
    "Ordering",
    "could_share",
    "enumerate_orderings",
    "mixing_tests",
    "occupancy_cif",
    "parent_of",
    "quasi_random_cells",
    "sharing_sets",
    "write_disorder",
]
