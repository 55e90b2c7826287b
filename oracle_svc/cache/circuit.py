"""Whether a Redis is worth talking to now; said once when it goes away, and once when it is back."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any

import redis
import structlog

__all__ = ["Circuit"]

log = structlog.get_logger(__name__)


class Circuit:
    """Opens on a failure and lets a probe through from time to time; safe to use from any thread.

    Reading and writing are apart: a server that answers may take no writes.

    Parameters
    ----------
    name
        What the server is called in messages; without its password.
    retry_after_s
        How long it is left alone after a failure, seconds.
    """

    def __init__(self, name: str, retry_after_s: float) -> None:
        self._name, self._retry_after_s = name, retry_after_s
        self._mutex = threading.Lock()
        self._closed_until = 0.0
        self._failing = False
        self._refusal = ""
        self._refused_until = 0.0

    @property
    def outage(self) -> str | None:
        """For the user, while the server does not answer or takes no writes."""
        if self._failing:
            return f"{self._name} does not answer; scoring without cache"
        return (
            f"{self._name} takes no new values ({self._refusal}); scoring with those it has"
            if self._refusal
            else None
        )

    def may_try(self) -> bool:
        """Whether to talk to it now: always while it answers, else one probe per `retry_after_s`."""
        with self._mutex:
            if not self._failing:
                return True
            if time.monotonic() < self._closed_until:
                return False
            self._closed_until = time.monotonic() + self._retry_after_s
            return True

    def failed(self, error: Exception) -> None:
        """Note that it did not answer."""
        with self._mutex:
            first = not self._failing
            self._failing = True
            self._closed_until = time.monotonic() + self._retry_after_s
        if first:
            log.warning("redis unavailable, computing without the cache", cache=self._name, error=str(error))

    def answered(self) -> None:
        """Note that it did."""
        with self._mutex:
            back = self._failing
            self._failing = False
        if back:
            log.info("redis available again", cache=self._name)

    def takes_writes(self) -> bool:
        """Whether to write now: always while writes are taken, else one attempt per `retry_after_s`."""
        with self._mutex:
            if self._refusal and time.monotonic() < self._refused_until:
                return False
            self._refused_until = time.monotonic() + self._retry_after_s
            return True

    def written(self, answers: Sequence[Any] | None) -> None:
        """Note whether the last writes were taken; None if there was no answer at all."""
        if not answers:
            return
        error = next((answer for answer in answers if isinstance(answer, redis.ResponseError)), None)
        with self._mutex:
            before, self._refusal = self._refusal, str(error) if error else ""
            self._refused_until = time.monotonic() + self._retry_after_s
        if error and not before:
            log.warning(
                "redis takes no writes, reading what it has",
                cache=self._name,
                error=str(error),
                advice="set maxmemory-policy allkeys-lru"
                if isinstance(error, redis.OutOfMemoryError)
                else "see the server's log",
            )
        elif before and not error:
            log.info("redis takes writes again", cache=self._name)
