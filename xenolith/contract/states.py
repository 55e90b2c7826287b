"""States of operations and runs: their names, and which are an end."""

from typing import Any

from xenolith.contract.names import value_name, value_number
from xenolith.errors import InvalidArgumentError
from xenolith.v1 import oracle_pb2, trainer_pb2

__all__ = [
    "OPERATION_ENDED",
    "RUN_ENDED",
    "operation_state_name",
    "operation_state_number",
    "run_state_name",
    "run_state_number",
]

OPERATION_ENDED: frozenset[int] = frozenset(
    {
        oracle_pb2.OPERATION_STATE_SUCCEEDED,
        oracle_pb2.OPERATION_STATE_FAILED,
        oracle_pb2.OPERATION_STATE_CANCELLED,
    }
)
"""States in which an operation does nothing any more."""

RUN_ENDED: frozenset[int] = frozenset(
    {
        trainer_pb2.RUN_STATE_SUCCEEDED,
        trainer_pb2.RUN_STATE_FAILED,
        trainer_pb2.RUN_STATE_STOPPED,
        trainer_pb2.RUN_STATE_INTERRUPTED,
    }
)
"""States in which a run does nothing any more."""


def operation_state_name(number: int) -> str:
    """Return the name of an operation's state, such as ``RUNNING``."""
    return value_name(oracle_pb2.OperationState, number)


def run_state_name(number: int) -> str:
    """Return the name of a run's state, such as ``RUNNING``."""
    return value_name(trainer_pb2.RunState, number)


def operation_state_number(name: str) -> Any:
    """Return the number of an operation's state from its name; as `run_state_number`."""
    return _number(oracle_pb2.OperationState, name)


def run_state_number(name: str) -> Any:
    """Return the number of a run's state from its name, in any case.

    Raises
    ------
    InvalidArgumentError
        No state has that name; lists those there are.
    """
    return _number(trainer_pb2.RunState, name)


def _number(states: Any, name: str) -> Any:
    try:
        return value_number(states, name)
    except ValueError:
        known = ", ".join(value_name(states, number) for number in states.values() if number)
        raise InvalidArgumentError(f"there is no state {name!r}; there are {known}") from None
