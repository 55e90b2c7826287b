"""Measured quantities of a structure, as columns: read from the contract's own descriptor.

A field of ``StructureScore`` that is marked as `measured` in ``oracle.proto`` is a column, and says there
which component fills it and in what unit. The oracle's answers, tables, rewards and the conformance kit take
their columns from here, so that a new measurement is declared once.
"""

from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import FieldDescriptor

from xenolith.v1 import oracle_pb2

__all__ = ["COLUMNS", "NUMBERS", "RELAXED_NUMBERS", "SCALARS", "Column", "component_of_column", "fields_of"]


_MEASURED: Any = oracle_pb2.measured


@dataclass(frozen=True, kw_only=True)
class Column:
    """One measurement of a structure."""

    name: str
    """The field of ``StructureScore``, and the column's name in every table."""
    component: int
    """The component that fills it."""
    unit: str
    """Empty for a truth, a name and a pure number."""
    of_the_batch: bool
    """Whether it depends on the other structures of the request."""
    on_demand: bool
    """Whether it comes only where the settings ask for it."""
    is_scalar: bool
    """Whether it is one value: a number, a truth, an id or an index."""
    is_number: bool
    """Whether that value is a quantity, a truth being 0 or 1."""


def _column(field: Any) -> Column:
    declared = field.GetOptions().Extensions[_MEASURED]
    return Column(
        name=field.name,
        component=declared.component,
        unit=declared.unit,
        of_the_batch=declared.of_the_batch,
        on_demand=declared.on_demand,
        is_scalar=_is_scalar(field),
        is_number=_is_number(field),
    )


def _is_scalar(field: Any) -> bool:
    return bool(field.has_presence and field.message_type is None)


def _is_number(field: Any) -> bool:
    return _is_scalar(field) and field.type in {FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_BOOL}


COLUMNS: dict[str, Column] = {
    field.name: _column(field)
    for field in oracle_pb2.StructureScore.DESCRIPTOR.fields
    if field.GetOptions().HasExtension(_MEASURED)
}
"""Every measurement of a structure, in the contract's order."""

SCALARS: tuple[str, ...] = tuple(name for name, column in COLUMNS.items() if column.is_scalar)
"""Those that are one value."""

NUMBERS: tuple[str, ...] = tuple(name for name, column in COLUMNS.items() if column.is_number)
"""Those that are one quantity, truths among them."""

RELAXED_NUMBERS: tuple[str, ...] = tuple(
    field.name for field in oracle_pb2.Relaxation.DESCRIPTOR.fields if _is_number(field)
)
"""Quantities of the relaxed structure, as columns named ``relaxation.<name>``."""


def fields_of(component: int) -> tuple[str, ...]:
    """Return the fields of ``StructureScore`` that a component fills without being asked for more."""
    return tuple(
        name for name, column in COLUMNS.items() if column.component == component and not column.on_demand
    )


def component_of_column(name: str) -> int | None:
    """Return the component that fills a column of a table; None for a name that no oracle's column has.

    ``relaxation.<name>`` needs stability, ``properties.<name>`` the properties, ``audits.<...>`` the audits.
    """
    column = COLUMNS.get(name.partition(".")[0])
    return column.component if column else None
