"""Names of the contract's statuses and components, as users read and write them."""

from typing import Any

from xenolith.errors import InvalidArgumentError
from xenolith.v1 import crystal_pb2, oracle_pb2

__all__ = ["component_name", "component_number", "status_name"]


def status_name(number: int) -> str:
    """Return the name of a structure's status, such as ``TOO_CLOSE``; a later contract's keeps its number."""
    known = crystal_pb2.StructureStatus.DESCRIPTOR.values_by_number.get(number)
    return known.name.removeprefix("STRUCTURE_STATUS_") if known else f"STATUS_{number}"


def component_name(number: int) -> str:
    """Return the name of a component, such as ``novelty``; a later contract's keeps its number."""
    known = oracle_pb2.Component.DESCRIPTOR.values_by_number.get(number)
    return known.name.removeprefix("COMPONENT_").lower() if known else f"component_{number}"


def component_number(name: str) -> Any:
    """Return the number of a component from its name, in any case.

    Raises
    ------
    InvalidArgumentError
        No component has that name; lists those there are.
    """
    try:
        return oracle_pb2.Component.Value(f"COMPONENT_{name.upper()}")
    except ValueError:
        known = ", ".join(component_name(number) for number in oracle_pb2.Component.values() if number)
        raise InvalidArgumentError(f"there is no component {name!r}; there are {known}") from None
