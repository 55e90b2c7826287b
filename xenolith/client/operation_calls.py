"""The calls of the oracle about scorings that outlive their call."""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from xenolith.client.oracle_calls import ScoreOptions
from xenolith.client.results.operations import Operation, OperationPage, operation_from_proto
from xenolith.client.transport import following
from xenolith.client.transport.calls import Unary, takes
from xenolith.contract.states import operation_state_number
from xenolith.convert.items import as_items
from xenolith.v1 import oracle_pb2

__all__ = [
    "SubmitOptions",
    "cancel_operation",
    "get_operation",
    "list_operations",
    "submit_score",
    "wait_operation",
]


@dataclass(frozen=True)
class SubmitOptions(ScoreOptions):
    """Options of a measurement that may take hours."""

    idempotency_key: str = field(default="", kw_only=True)
    """A second submission with it gives the same operation; empty: each is a new one."""
    priority: int = field(default=0, kw_only=True)
    """Larger goes first."""
    retention_s: float | None = field(default=None, kw_only=True)
    """How long the result is kept, seconds; None: as long as the oracle keeps any."""


@takes(SubmitOptions)
def submit_score(options: SubmitOptions) -> Unary[Operation]:
    """Start a scoring that may take hours, and return at once; the arguments are those of `SubmitOptions`.

    Structures that cannot be sent are an error here: results are counted by their place in the submission.
    """
    items = as_items(options.crystals, periodic=options.periodic)
    if problem := next((item.problem for item in items if item.problem), None):
        raise problem
    request = oracle_pb2.SubmitScoreRequest(
        request=options.request(items),
        # With a key, an attempt whose answer was lost does not start the work twice.
        idempotency_key=options.idempotency_key or uuid.uuid4().hex,
        priority=options.priority,
    )
    if options.retention_s is not None:
        request.retention.FromNanoseconds(int(options.retention_s * 1e9))
    return _operation_call("SubmitScore", request, options.timeout_s)


def get_operation(
    operation_id: str, *, partial: bool = False, timeout_s: float | None = None
) -> Unary[Operation]:
    """Return the state of an operation, with `partial` also what is finished of it."""
    request = oracle_pb2.GetOperationRequest(operation_id=operation_id, include_partial_results=partial)
    return _operation_call("GetOperation", request, timeout_s)


def wait_operation(
    operation_id: str, *, wait_s: float = 60.0, timeout_s: float | None = None
) -> Unary[Operation]:
    """Return the operation when it is done, or as it is after `wait_s` seconds."""
    return following.wait_operation(operation_id, wait_s, _operation, timeout_s)


def cancel_operation(operation_id: str, *, timeout_s: float | None = None) -> Unary[Operation]:
    """Ask an operation to stop; what is measured stays."""
    request = oracle_pb2.CancelOperationRequest(operation_id=operation_id)
    return _operation_call("CancelOperation", request, timeout_s)


def list_operations(
    *, states: Iterable[str] = (), page_size: int = 0, page_token: str = "", timeout_s: float | None = None
) -> Unary[OperationPage]:
    """Return operations of all callers, newest first, all of them or those in `states`; without scores."""
    request = oracle_pb2.ListOperationsRequest(
        states=[operation_state_number(state) for state in states],
        page_size=page_size,
        page_token=page_token,
    )
    return Unary(method="ListOperations", request=request, parse=_page, timeout_s=timeout_s, default_s=60)


def _page(response: oracle_pb2.ListOperationsResponse) -> OperationPage:
    operations = tuple(operation_from_proto(operation) for operation in response.operations)
    return OperationPage(operations=operations, next_page_token=response.next_page_token)


def _operation_call(method: str, request: Any, timeout_s: float | None) -> Unary[Operation]:
    return Unary(method=method, request=request, parse=_operation, timeout_s=timeout_s, default_s=60)


def _operation(response: Any) -> Operation:
    return operation_from_proto(response.operation)
