"""The one rule for trying again: which errors mean that a service is away, how long to wait, when to give up.

gRPC itself makes the first attempts (`channel_retry`), within one call and unseen. What outlasts them is for
`RetryPolicy`: a watched stream, an operation that is followed, every call of a training run.
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

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

__all__ = ["AWAY", "DOUBTFUL", "ENDING", "ONCE", "Absence", "RetryPolicy", "channel_retry"]

AWAY: tuple[type[XenolithError], ...] = (UnavailableError, OverloadedError)
"""A service that restarts, or has too much to do."""
ENDING: tuple[type[XenolithError], ...] = (AbortedError, CancelledError, DeadlineError)
"""A service that ended or hung with the call at work. Where somebody sits at the call it is also what he did
himself: he cancelled it, or gave it too little time."""
DOUBTFUL: tuple[type[XenolithError], ...] = (DataLossError, InternalError, UnknownError)
"""A process that dies in mid-call can look like this. So does a fault that stays, which is not waited for."""

_FIRST_PAUSE_S, _LONGEST_PAUSE_S, _GROWTH = 0.2, 5.0, 2.5
_TELL_AGAIN_S, _TELL_GROWTH = 10.0, 6.0


@dataclass(frozen=True, kw_only=True)
class RetryPolicy:
    """When a call that failed is made again."""

    limit_s: float
    """How long one absence may last, seconds; 0: the first failure is the last."""
    away: tuple[type[XenolithError], ...] = AWAY
    """Errors that are waited out."""
    doubtful: tuple[type[XenolithError], ...] = ()
    """Errors that may be part of an absence, and are reported when they stay."""
    doubtful_attempts: int = 3
    """How many attempts may end so; the last of them is reported."""
    first_pause_s: float = _FIRST_PAUSE_S
    """Seconds before the second attempt; each pause after it is longer."""
    longest_pause_s: float = _LONGEST_PAUSE_S
    """Seconds of a pause at most, also where the service asks for a longer one."""
    advice: str = ""
    """What to do about a service that stays away; empty: its own error is reported as it is."""
    on_wait: Callable[[str], None] = lambda _: None
    """Told when an absence begins, and again while it lasts, ever more rarely; in words for the user."""
    on_return: Callable[[], None] = lambda: None
    """Told once the service answers again."""


ONCE = RetryPolicy(limit_s=0.0)
"""No second attempt."""


class Absence:
    """How long a service has been away, as the failures of one call show it.

    Knows nothing of calls or loops: whoever makes the attempts reports how they end, and is told how long to
    wait.

    Parameters
    ----------
    policy
        When to try again.
    service
        Name for messages, such as ``oracle``.
    """

    def __init__(self, policy: RetryPolicy, service: str) -> None:
        self._policy, self._service = policy, service
        self._begin()

    def over(self) -> None:
        """Note that the service answered."""
        if self._told:
            self._policy.on_return()
        self._begin()

    def _begin(self) -> None:
        self._since: float | None = None
        self._told, self._doubtful, self._pause = False, 0, self._policy.first_pause_s
        self._tell_after = 0.0

    def pause_after(self, error: XenolithError) -> float:
        """Return the seconds to wait before the next attempt.

        Parameters
        ----------
        error
            What the attempt ended with.

        Raises
        ------
        XenolithError
            `error` itself, if waiting does not cure it.
        UnavailableError
            The service stayed away longer than the limit, and the policy has advice.
        """
        policy = self._policy
        if not isinstance(error, (*policy.away, *policy.doubtful)):
            raise error
        now = time.monotonic()
        self._since = now if self._since is None else self._since
        self._doubtful += isinstance(error, policy.doubtful)
        waited = now - self._since
        self._give_up(error, waited)
        if waited >= self._tell_after:
            since = f" since {waited:.0f} s" if self._told else ""
            self._told = True
            self._tell_after = max(_TELL_AGAIN_S, _TELL_GROWTH * self._tell_after)
            policy.on_wait(
                f"waiting for the {self._service}{since}: {_fault(error)}; the work goes on once it is back"
            )
        # Not exactly the same pause for all callers, or they would all come back at once.
        pause = self._pause * random.uniform(0.8, 1.2)  # noqa: S311  # no secret
        self._pause = min(_GROWTH * self._pause, policy.longest_pause_s)
        asked = 0.0 if error.retry_after_s is None else error.retry_after_s
        return max(pause, min(asked, policy.longest_pause_s))

    def _give_up(self, error: XenolithError, waited_s: float) -> None:
        if self._doubtful >= self._policy.doubtful_attempts:
            raise error
        if waited_s < self._policy.limit_s:
            return
        if not self._policy.advice:
            raise error
        raise UnavailableError(
            f"the {self._service} has been away for {waited_s:.0f} s; {self._policy.advice} ({_fault(error)})"
        ) from error


def channel_retry(attempts: int) -> list[dict[str, Any]]:
    """Return the attempts that gRPC makes by itself, as the ``methodConfig`` of a channel.

    Parameters
    ----------
    attempts
        Of a call that meets an unavailable or overloaded service; 1 is no retry.
    """
    if attempts == 1:
        return []
    retry = {
        "maxAttempts": attempts,
        "initialBackoff": f"{_FIRST_PAUSE_S}s",
        "maxBackoff": f"{_LONGEST_PAUSE_S:g}s",
        "backoffMultiplier": _GROWTH,
        "retryableStatusCodes": [error.code.name for error in AWAY],
    }
    # Uploads of weights are as large as the model: buffering them for a retry would double its memory.
    upload = {"service": "xenolith.v1.GeneratorService", "method": "UpdateWeights"}
    # Who asks for health wants to know of now, and asks again by themselves.
    health = {"service": "grpc.health.v1.Health"}
    return [{"name": [upload, health]}, {"name": [{}], "retryPolicy": retry}]


def _fault(error: XenolithError) -> str:
    # What to do about it is said by whoever waits: a run needs no other address, it needs the service back.
    return error.fault if isinstance(error, UnreachableError) else str(error)
