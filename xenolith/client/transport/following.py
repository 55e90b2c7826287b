"""Following an operation of the oracle to its end: what to ask next, free of how it is asked."""

import math
import time
from collections.abc import Callable
from typing import Any

from google.protobuf import duration_pb2

from xenolith.client.transport.calls import Unary
from xenolith.contract.states import OPERATION_ENDED
from xenolith.errors import DeadlineError
from xenolith.v1 import oracle_pb2

__all__ = ["Following", "wait_operation"]

_MARGIN_S = 30.0
"""What an answer may take beyond the wait itself, seconds."""


class Following:
    """Looks at an operation, at once and then again and again until it has ended.

    Parameters
    ----------
    operation_id
        Which.
    look_s
        Longest time between two looks, seconds.
    timeout_s
        Longest time to follow it, seconds.
    """

    def __init__(self, operation_id: str, *, look_s: float, timeout_s: float = math.inf) -> None:
        self._id, self._look, self._timeout = operation_id, look_s, timeout_s
        self._began = time.monotonic()
        self._last: oracle_pb2.Operation | None = None

    def next_look(self) -> Unary[oracle_pb2.Operation] | None:
        """Return the next call to make, None if the operation has ended.

        Raises
        ------
        DeadlineError
            It has not, and the time is over.
        """
        if self._last is None:
            return wait_operation(self._id, 0.0, _operation)
        if self._last.state in OPERATION_ENDED:
            return None
        left = self._timeout - (time.monotonic() - self._began)
        if left <= 0:
            raise self._late(self._last)
        return wait_operation(self._id, min(self._look, left), _operation)

    def seen(self, operation: oracle_pb2.Operation) -> None:
        """Take what the call answered."""
        self._last = operation

    def _late(self, now: oracle_pb2.Operation) -> DeadlineError:
        return DeadlineError(
            f"operation {now.id} has {now.structures_done} of {now.structures_total} structures after "
            f"{self._timeout:g} s; it goes on: client.oracle.operation({now.id!r}).wait()"
        )


def wait_operation(
    operation_id: str,
    wait_s: float,
    parse: Callable[[oracle_pb2.WaitOperationResponse], Any],
    timeout_s: float | None = None,
) -> Unary[Any]:
    """Return the call that answers when an operation is done, or as it is after `wait_s` seconds."""
    wait = duration_pb2.Duration()
    wait.FromNanoseconds(int(wait_s * 1e9))
    return Unary(
        method="WaitOperation",
        request=oracle_pb2.WaitOperationRequest(operation_id=operation_id, timeout=wait),
        parse=parse,
        timeout_s=timeout_s,
        default_s=wait_s + _MARGIN_S,
    )


def _operation(response: oracle_pb2.WaitOperationResponse) -> oracle_pb2.Operation:
    return response.operation
