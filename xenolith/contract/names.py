"""Names of the contract's enums, as users read and write them: without the prefix that the values share."""

from functools import cache
from typing import Any

from xenolith.errors import InvalidArgumentError
from xenolith.v1 import crystal_pb2, oracle_pb2

__all__ = ["component_name", "component_number", "status_name", "value_name", "value_number"]


def value_name(enum: Any, number: int) -> str:
    """Return the name of an enum's value, such as ``RUNNING``; a later contract's keeps its number."""
    prefix = _prefix(enum)
    known = enum.DESCRIPTOR.values_by_number.get(number)
    if known is None:
        return f"{prefix.rstrip('_').rpartition('_')[2]}_{number}"
    return str(known.name).removeprefix(prefix)


def value_number(enum: Any, name: str) -> Any:
    """Return the number of an enum's value from its name, in any case.

    Raises
    ------
    ValueError
        No value has that name.
    """
    return enum.Value(f"{_prefix(enum)}{name.upper()}")


@cache
def _prefix(enum: Any) -> str:
    """Beginning that all names of an enum's values share, such as ``RUN_STATE_``."""
    return str(enum.DESCRIPTOR.values_by_number[0].name).removesuffix("UNSPECIFIED")


def status_name(number: int) -> str:
    """Return the name of a structure's status, such as ``TOO_CLOSE``."""
    return value_name(crystal_pb2.StructureStatus, number)


def component_name(number: int) -> str:
    """Return the name of a component, such as ``novelty``."""
    return value_name(oracle_pb2.Component, number).lower()


def component_number(name: str) -> Any:
    """Return the number of a component from its name, in any case.

    Raises
    ------
    InvalidArgumentError
        No component has that name; lists those there are.
    """
    try:
        return value_number(oracle_pb2.Component, name)
    except ValueError:
        known = ", ".join(component_name(number) for number in oracle_pb2.Component.values() if number)
        raise InvalidArgumentError(f"there is no component {name!r}; there are {known}") from None
