"""The calls of the oracle about scorings that outlive their call."""

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from google.protobuf import duration_pb2

from xenolith.client.oracle_calls import score_request
from xenolith.client.results.score_messages import scores_from_proto
from xenolith.client.results.scores import Scores
from xenolith.client.transport.calls import Unary, deadline
from xenolith.contract.components import DEFAULT_COMPONENT_NAMES
from xenolith.convert.item import Item
from xenolith.convert.items import as_items
from xenolith.errors import XenolithError, error_class_of
from xenolith.v1 import oracle_pb2

if TYPE_CHECKING:
    from xenolith.convert.items import CrystalsLike

__all__ = ["Operation", "cancel_operation", "get_operation", "submit_score", "wait_operation"]


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
    warnings: tuple[str, ...] = ()
    """What the user should know."""

    @property
    def done(self) -> bool:
        """Whether it has ended."""
        return self.state in {"SUCCEEDED", "FAILED", "CANCELLED"}


def submit_score(
    crystals: "CrystalsLike",
    *,
    components: Iterable[str] = DEFAULT_COMPONENT_NAMES,
    settings: oracle_pb2.ScoreSettings | Mapping[str, Any] | None = None,
    known: "CrystalsLike | None" = None,
    expected_settings_digest: str = "",
    idempotency_key: str = "",
    priority: int = 0,
    retention_s: float | None = None,
    timeout_s: float | None = None,
) -> Unary[Operation]:
    """Start a scoring that may take hours, and return at once.

    `idempotency_key` makes a second submission return the same operation; by default each is a new one.
    Structures that cannot be sent are an error here: results are counted by their place in the submission.
    """
    items = as_items(crystals)
    if problem := next((item.problem for item in items if item.problem), None):
        raise problem
    request = oracle_pb2.SubmitScoreRequest(
        request=score_request(items, components, settings, known, expected_settings_digest),
        # With a key, an attempt whose answer was lost does not start the work twice.
        idempotency_key=idempotency_key or uuid.uuid4().hex,
        priority=priority,
    )
    if retention_s is not None:
        request.retention.FromNanoseconds(int(retention_s * 1e9))
    return _operation_call("SubmitScore", request, deadline(timeout_s, 60))


def get_operation(
    operation_id: str, *, partial: bool = False, timeout_s: float | None = None
) -> Unary[Operation]:
    """Return the state of an operation, with `partial` also what is finished of it."""
    request = oracle_pb2.GetOperationRequest(operation_id=operation_id, include_partial_results=partial)
    return _operation_call("GetOperation", request, deadline(timeout_s, 60))


def wait_operation(
    operation_id: str, *, wait_s: float = 60.0, timeout_s: float | None = None
) -> Unary[Operation]:
    """Return the operation when it is done, or as it is after `wait_s` seconds."""
    timeout = duration_pb2.Duration()
    timeout.FromNanoseconds(int(wait_s * 1e9))
    request = oracle_pb2.WaitOperationRequest(operation_id=operation_id, timeout=timeout)
    return _operation_call("WaitOperation", request, deadline(timeout_s, wait_s + 30))


def cancel_operation(operation_id: str, *, timeout_s: float | None = None) -> Unary[Operation]:
    """Ask an operation to stop; what is measured stays."""
    request = oracle_pb2.CancelOperationRequest(operation_id=operation_id)
    return _operation_call("CancelOperation", request, deadline(timeout_s, 60))


def _operation_call(method: str, request: Any, timeout_s: float | None) -> Unary[Operation]:
    return Unary(method=method, request=request, parse=lambda r: _operation(r.operation), timeout_s=timeout_s)


def _operation(message: oracle_pb2.Operation) -> Operation:
    scores = None
    if message.HasField("response"):
        items = [Item(source=str(index)) for index in range(len(message.response.scores))]
        scores = scores_from_proto(items, message.response)
    error = error_class_of(message.error.code)(message.error.message) if message.HasField("error") else None
    return Operation(
        id=message.id,
        state=oracle_pb2.OperationState.Name(message.state).removeprefix("OPERATION_STATE_"),
        structures_done=message.structures_done,
        structures_total=message.structures_total,
        scores=scores,
        error=error,
        warnings=tuple(message.warnings),
    )
