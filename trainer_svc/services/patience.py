"""Waiting for a service that is away: a run outlives restarts of the services it calls."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from xenolith.errors import (
    AbortedError,
    CancelledError,
    DataLossError,
    DeadlineError,
    InternalError,
    OverloadedError,
    UnavailableError,
    UnknownError,
    UnreachableError,
    XenolithError,
)

__all__ = ["Patience"]

log = structlog.get_logger(__name__)
T = TypeVar("T")

_AWAY = (UnavailableError, OverloadedError, AbortedError, CancelledError, DeadlineError)
# A process that dies in mid-call can also look like this; a fault that stays is not waited for.
_DOUBTFUL = (DataLossError, InternalError, UnknownError)
_DOUBTFUL_ATTEMPTS = 3


class Patience:
    """Repeats calls while their service is away, with growing pauses.

    Every call of a run may be repeated: sampling and scoring are functions of their request, and an update of
    weights replaces the same version by itself.
    """

    def __init__(
        self,
        limit_s: float,
        *,
        first_pause_s: float = 0.2,
        longest_pause_s: float = 5.0,
        on_wait: Callable[[str], None] = lambda _: None,
        on_return: Callable[[], None] = lambda: None,
    ) -> None:
        """Set the limits.

        Parameters
        ----------
        limit_s
            How long one absence may last, seconds.
        first_pause_s, longest_pause_s
            Range of the pauses, seconds.
        on_wait
            Told once per absence, in words for the user.
        on_return
            Told once the service answers again.
        """
        self._limit, self._first, self._longest = limit_s, first_pause_s, longest_pause_s
        self._on_wait, self._on_return = on_wait, on_return

    async def call(self, service: str, attempt: Callable[[], Awaitable[T]]) -> T:
        """Return the result of the first attempt that succeeds.

        Parameters
        ----------
        service
            Name for messages, such as ``oracle``.
        attempt
            Starts the call anew each time.

        Raises
        ------
        UnavailableError
            The service stayed away longer than the limit.
        XenolithError
            The call failed for a reason that waiting does not cure.
        """
        began, pause, doubtful, waiting = time.monotonic(), self._first, 0, False
        while True:
            try:
                result = await attempt()
            except (*_AWAY, *_DOUBTFUL) as error:
                doubtful += isinstance(error, _DOUBTFUL)
                self._give_up(service, error, time.monotonic() - began, doubtful)
                if not waiting:
                    waiting = True
                    log.warning("waiting for service", service=service, error=_fault(error))
                    self._on_wait(
                        f"waiting for the {service}: {_fault(error)}; the work goes on once it is back"
                    )
            else:
                if waiting:
                    log.info("service is back", service=service)
                    self._on_return()
                return result
            # Not exactly the same pause for all callers, or they would all come back at once.
            await asyncio.sleep(pause * random.uniform(0.8, 1.2))  # noqa: S311  # no secret
            pause = min(2 * pause, self._longest)

    def _give_up(self, service: str, error: XenolithError, waited_s: float, doubtful: int) -> None:
        if doubtful >= _DOUBTFUL_ATTEMPTS:
            raise error
        if waited_s > self._limit:
            raise UnavailableError(
                f"the {service} has been away for {waited_s:.0f} s;"
                f" start it again, then resume the run ({_fault(error)})"
            ) from error


def _fault(error: XenolithError) -> str:
    # What to do about it is said by whoever waits: a run needs no other address, it needs the service back.
    return error.fault if isinstance(error, UnreachableError) else str(error)
