"""Which components are measured when none is named, and which of them compare structures with each other."""

from xenolith.contract.columns import COLUMNS
from xenolith.contract.names import component_name
from xenolith.v1 import oracle_pb2

__all__ = ["COMPARING_COMPONENTS", "DEFAULT_COMPONENTS", "DEFAULT_COMPONENT_NAMES"]

DEFAULT_COMPONENTS: tuple[int, ...] = (
    oracle_pb2.COMPONENT_VALIDITY,
    oracle_pb2.COMPONENT_STABILITY,
    oracle_pb2.COMPONENT_NOVELTY,
    oracle_pb2.COMPONENT_UNIQUENESS,
)
"""What a request that names no component asks for. The headline metrics need these, and no others."""

DEFAULT_COMPONENT_NAMES: tuple[str, ...] = tuple(map(component_name, DEFAULT_COMPONENTS))
"""The same, as users write them."""

COMPARING_COMPONENTS: frozenset[int] = frozenset(
    column.component for column in COLUMNS.values() if column.of_the_batch
)
"""What depends on the whole request, so that it can neither be measured in pieces nor be cached alone."""
