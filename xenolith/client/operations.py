"""Handles on scorings that outlive their call."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

from xenolith.client.operation_calls import Operation
from xenolith.client.results.scores import Scores
from xenolith.errors import CancelledError, DeadlineError, UnavailableError, XenolithError

__all__ = ["AsyncOperationHandle", "OperationHandle"]

_LOOK_S = 5.0
"""Longest time between two looks at the progress."""
_PAUSE_S = 1.0
"""Between attempts to reach an oracle that is away."""


class _Handle:
    """An operation as it was when last looked at."""

    def __init__(self, client: Any, operation: Operation, reconnect_s: float) -> None:
        self._client, self._reconnect_s = client, reconnect_s
        self.operation = operation
        """What the oracle said last."""

    @property
    def id(self) -> str:
        """Identity: `client.oracle.operation(id)` takes it up again from anywhere."""
        return self.operation.id

    @property
    def state(self) -> str:
        """``QUEUED``, ``RUNNING``, ``SUCCEEDED``, ``FAILED`` or ``CANCELLED``."""
        return self.operation.state

    @property
    def done(self) -> bool:
        """Whether it has ended."""
        return self.operation.done

    def __repr__(self) -> str:
        now = self.operation
        return (
            f"<operation {now.id}: {now.state}, {now.structures_done} of {now.structures_total} structures>"
        )

    def _result(self) -> Scores:
        if self.operation.error is not None:
            raise self.operation.error
        if self.operation.scores is None:
            raise CancelledError(f"operation {self.id} was cancelled before anything was measured")
        return self.operation.scores

    def _late(self, timeout_s: float) -> DeadlineError:
        now = self.operation
        return DeadlineError(
            f"operation {now.id} has {now.structures_done} of {now.structures_total} structures after "
            f"{timeout_s:g} s; it goes on: client.oracle.operation({now.id!r}).wait()"
        )

    def _may_come_back(self, error: XenolithError, away_since: float) -> bool:
        """Whether an oracle that is away may be on its way back."""
        return isinstance(error, UnavailableError) and time.monotonic() - away_since < self._reconnect_s


class OperationHandle(_Handle):
    """A scoring at work in the oracle.

    Example
    -------
    >>> operation = x.oracle.submit_score("my_cifs/")          # doctest: +SKIP
    >>> for now in operation.progress():                       # doctest: +SKIP
    ...     print(now.structures_done, "of", now.structures_total)
    >>> scores = operation.wait()                              # doctest: +SKIP
    """

    def refresh(self, *, partial: bool = False) -> Operation:
        """Ask for its state now, with `partial` also for what is finished of it."""
        self.operation = self._client.get_operation(self.id, partial=partial)
        return self.operation

    def progress(self, timeout_s: float = math.inf) -> Iterator[Operation]:
        """Yield its state now and every few seconds until it is done, over restarts of the oracle.

        Raises
        ------
        DeadlineError
            It is not done after `timeout_s` seconds; it goes on all the same.
        """
        began = time.monotonic()
        away_since: float | None = None
        wait_s = 0.0
        while True:
            try:
                self.operation = self._client.wait_operation(self.id, wait_s=wait_s)
            except XenolithError as error:
                away_since = away_since or time.monotonic()
                if not self._may_come_back(error, away_since):
                    raise
                time.sleep(_PAUSE_S)
                continue
            away_since = None
            yield self.operation
            if self.done:
                return
            left = timeout_s - (time.monotonic() - began)
            if left <= 0:
                raise self._late(timeout_s)
            wait_s = min(_LOOK_S, left)

    def wait(self, timeout_s: float = math.inf) -> Scores:
        """Return its scores once it is done; of a cancelled one, those that were measured.

        Raises
        ------
        DeadlineError
            It is not done after `timeout_s` seconds; it goes on all the same.
        XenolithError
            It failed.
        """
        for _ in self.progress(timeout_s):
            pass
        return self._result()

    def cancel(self) -> Operation:
        """Ask it to stop; what is measured stays."""
        self.operation = self._client.cancel_operation(self.id)
        return self.operation


class AsyncOperationHandle(_Handle):
    """A scoring at work in the oracle; as `OperationHandle`, for an event loop."""

    async def refresh(self, *, partial: bool = False) -> Operation:
        """Ask for its state now, with `partial` also for what is finished of it."""
        self.operation = await self._client.get_operation(self.id, partial=partial)
        return self.operation

    async def progress(self, timeout_s: float = math.inf) -> AsyncIterator[Operation]:
        """Yield its state now and every few seconds until it is done, over restarts of the oracle.

        Raises
        ------
        DeadlineError
            It is not done after `timeout_s` seconds; it goes on all the same.
        """
        began = time.monotonic()
        away_since: float | None = None
        wait_s = 0.0
        while True:
            try:
                self.operation = await self._client.wait_operation(self.id, wait_s=wait_s)
            except XenolithError as error:
                away_since = away_since or time.monotonic()
                if not self._may_come_back(error, away_since):
                    raise
                await asyncio.sleep(_PAUSE_S)
                continue
            away_since = None
            yield self.operation
            if self.done:
                return
            left = timeout_s - (time.monotonic() - began)
            if left <= 0:
                raise self._late(timeout_s)
            wait_s = min(_LOOK_S, left)

    async def wait(self, timeout_s: float = math.inf) -> Scores:
        """Return its scores once it is done; of a cancelled one, those that were measured.

        Raises
        ------
        DeadlineError
            It is not done after `timeout_s` seconds; it goes on all the same.
        XenolithError
            It failed.
        """
        async for _ in self.progress(timeout_s):
            pass
        return self._result()

    async def cancel(self) -> Operation:
        """Ask it to stop; what is measured stays."""
        self.operation = await self._client.cancel_operation(self.id)
        return self.operation
