"""Scorings that outlive their call, as dataclasses over the oracle's messages."""

from dataclasses import dataclass

from xenolith.client.results.score_messages import scores_from_proto
from xenolith.client.results.scores import Scores
from xenolith.contract.states import OPERATION_ENDED, operation_state_name
from xenolith.convert.item import Item
from xenolith.errors import XenolithError, error_class_of
from xenolith.v1 import oracle_pb2

__all__ = ["Operation", "OperationPage", "operation_from_proto"]


@dataclass(frozen=True, kw_only=True)
class Operation:
    """A scoring that outlives its call."""

    id: str
    """Identity, to ask for it again from anywhere."""
    state: str
    """``QUEUED``, ``RUNNING``, ``SUCCEEDED``, ``FAILED`` or ``CANCELLED``."""
    structures_done: int
    """Structures finished."""
    structures_total: int
    """Structures in all."""
    scores: Scores | None
    """The result, once there is one."""
    error: XenolithError | None
    """Why it failed."""
    done: bool
    """Whether it has ended."""
    warnings: tuple[str, ...] = ()
    """What the user should know."""


@dataclass(frozen=True, kw_only=True)
class OperationPage:
    """Some operations, newest first, without their scores."""

    operations: tuple[Operation, ...]
    """The operations."""
    next_page_token: str
    """For the next page; empty when there is none."""


def operation_from_proto(message: oracle_pb2.Operation) -> Operation:
    """Return the operation of a message."""
    scores = None
    if message.HasField("response"):
        items = [Item(source=str(index)) for index in range(len(message.response.scores))]
        scores = scores_from_proto(items, message.response)
    error = error_class_of(message.error.code)(message.error.message) if message.HasField("error") else None
    return Operation(
        id=message.id,
        state=operation_state_name(message.state),
        structures_done=message.structures_done,
        structures_total=message.structures_total,
        scores=scores,
        error=error,
        done=message.state in OPERATION_ENDED,
        warnings=tuple(message.warnings),
    )
