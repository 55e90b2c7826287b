"""Single flight: of all who want a value now, one computes it and the others wait for it.

Inside the process by a map of futures, across processes by the cache's expiring rights. Both only save work:
a waiter whose computing neighbour failed, died or is too slow computes the value itself.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from types import TracebackType

from oracle_svc.cache.base import Cache

__all__ = ["Claim", "SingleFlight"]

_POLL_FIRST_S = 0.02
_POLL_MOST_S = 0.5


class SingleFlight:
    """Hands out claims on keys. One per cache and process; thread-safe."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._lock = threading.Lock()
        self._flights: dict[str, Future[bytes | None]] = {}

    def claim(self, keys: Sequence[str]) -> Claim:
        """Claim the right to compute `keys`; what others compute already is left to them."""
        mine: set[str] = set()
        near: dict[str, Future[bytes | None]] = {}
        with self._lock:
            for key in dict.fromkeys(keys):
                if key in self._flights:
                    near[key] = self._flights[key]
                else:
                    self._flights[key] = Future()
                    mine.add(key)
        return Claim(cache=self._cache, flight=self, candidates=mine, near=near)

    def land(self, keys: Sequence[str], values: Mapping[str, bytes]) -> None:
        """Tell waiters of this process the values; None for a key that was not computed."""
        with self._lock:
            futures = {key: self._flights.pop(key) for key in keys if key in self._flights}
        for key, future in futures.items():
            future.set_result(values.get(key))


class Claim(AbstractContextManager["Claim"]):
    """Keys of one request, split into those to compute (`mine`) and those somebody else computes (`others`).

    Leaving the context releases whatever was not delivered, so that waiters go on.
    """

    def __init__(
        self,
        *,
        cache: Cache,
        flight: SingleFlight,
        candidates: set[str],
        near: dict[str, Future[bytes | None]],
    ) -> None:
        self._cache = cache
        self._flight = flight
        self._near = near
        self._token = uuid.uuid4().hex
        self._open = set(candidates)
        try:
            won = cache.acquire(sorted(candidates), self._token)
        except BaseException:
            flight.land(sorted(candidates), {})
            raise
        self.mine = frozenset(won)
        self._far = candidates - won
        self._stop = threading.Event()
        self._renewal = self._start_renewal()

    @property
    def others(self) -> frozenset[str]:
        """Keys that another thread or process computes now."""
        return frozenset(self._near) | frozenset(self._far)

    def deliver(self, values: Mapping[str, bytes]) -> None:
        """Store computed values and hand them to the waiters."""
        self._cache.set_many(values)
        self._finish([key for key in values if key in self._open], values)

    def wait(self, *, until: float, cancelled: Callable[[], bool]) -> dict[str, bytes]:
        """Values others computed, as far as they came before `until` (`time.monotonic` seconds).

        Returns early when everybody is done, whatever their success; missing keys are for the caller to
        compute.
        """
        found: dict[str, bytes] = {}
        far = set(self._far)
        near = dict(self._near)
        pause = _POLL_FIRST_S
        while (near or far) and time.monotonic() < until and not cancelled():
            for key in [key for key, future in near.items() if future.done()]:
                value = near.pop(key).result()
                if value is not None:
                    found[key] = value
            if far:
                # Look at the rights before the values: a holder stores first and releases after.
                held = self._cache.locked(sorted(far))
                found.update(self._cache.get_many(sorted(far)))
                far = {key for key in far if key in held and key not in found}
            if near or far:
                self._stop.wait(pause)
                pause = min(_POLL_MOST_S, pause * 1.5)
        self._finish(sorted(self._far), found)
        return found

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release what was not delivered."""
        self._finish(sorted(self._open), {})
        self._stop.set()
        if self._renewal is not None:
            self._renewal.join()

    def _finish(self, keys: Sequence[str], values: Mapping[str, bytes]) -> None:
        done = [key for key in keys if key in self._open]
        self._open.difference_update(done)
        self._flight.land(done, values)
        self._cache.release([key for key in done if key in self.mine], self._token)

    def _start_renewal(self) -> threading.Thread | None:
        ttl = self._cache.lock_ttl_s
        if ttl is None or not self.mine:
            return None
        thread = threading.Thread(target=self._keep, args=(ttl / 3.0,), name="cache-renewal", daemon=True)
        thread.start()
        return thread

    def _keep(self, period_s: float) -> None:
        while not self._stop.wait(period_s):
            self._cache.renew(sorted(self._open & self.mine), self._token)
