"""The shared cache: a Redis server, spoken to in whole batches and never waited for.

A Redis that goes away is noticed once: the circuit opens, every call answers at once as an empty cache would,
and one probe per `retry_after_s` looks whether it is back. A Redis that answers but takes no writes (full, a
replica, a failed snapshot) is still read; it is not written to for `retry_after_s`. Each is warned of once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from typing import Any, TypeVar
from urllib.parse import urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from oracle_svc.cache.base import SCHEMA_VERSION
from oracle_svc.cache.circuit import Circuit

__all__ = ["RedisCache"]

_T = TypeVar("_T")

_PREFIX = f"xenolith:oracle:v{SCHEMA_VERSION}:"
_IF_OURS = "if redis.call('get',KEYS[1])==ARGV[1] then return redis.call({}) else return 0 end"
_RENEW = _IF_OURS.format("'pexpire',KEYS[1],ARGV[2]")
_RELEASE = _IF_OURS.format("'del',KEYS[1]")


class RedisCache:
    """Bytes in Redis under a versioned prefix, with an expiry each.

    Parameters
    ----------
    url
        `redis://[:password@]host:port/db`, `rediss://...` (TLS) or `unix:///path`.
    ttl_s
        Life of an entry, seconds.
    lock_ttl_s
        Life of a single-flight right, seconds; it is renewed while the work lasts.
    timeout_s
        Longest wait for Redis to connect or answer, seconds.
    retry_after_s
        How long Redis is left alone after a failure, seconds.
    """

    def __init__(
        self,
        url: str,
        *,
        ttl_s: float = 30 * 86400.0,
        lock_ttl_s: float = 20.0,
        timeout_s: float = 0.5,
        retry_after_s: float = 5.0,
    ) -> None:
        parts = urlsplit(url)
        self.name = (
            f"{parts.scheme}://{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}{parts.path}"
        )
        self.lock_ttl_s: float | None = lock_ttl_s
        self._ttl_ms = int(ttl_s * 1000)
        self._lock_ms = int(lock_ttl_s * 1000)
        self._circuit = Circuit(self.name, retry_after_s)
        self._client: redis.Redis = redis.Redis.from_url(
            url,
            retry=Retry(NoBackoff(), 0),
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
        )

    @property
    def outage(self) -> str | None:
        """For the user, while Redis does not answer or takes no writes."""
        return self._circuit.outage

    def advice(self) -> str | None:
        """Return advice on the server's settings; None if there is none, or if the server is silent."""
        info: Any = self._guarded(lambda: self._client.info("memory"), {})
        if info.get("maxmemory_policy", "noeviction") != "noeviction" or not info:
            return None
        return (
            f"{self.name} stops taking values when it is full: set maxmemory-policy allkeys-lru"
            if info.get("maxmemory")
            else f"{self.name} may take all memory: set maxmemory, and maxmemory-policy allkeys-lru"
        )

    def get_many(self, keys: Sequence[str]) -> dict[str, bytes]:
        """Values of the keys that are present, by one MGET."""
        wanted = list(dict.fromkeys(keys))
        if not wanted:
            return {}
        values: Any = self._guarded(
            lambda: self._client.mget([_PREFIX + key for key in wanted]), [None] * len(wanted)
        )
        return {key: bytes(value) for key, value in zip(wanted, values, strict=True) if value is not None}

    def set_many(self, items: Mapping[str, bytes]) -> None:
        """Store every item by one pipeline of SET PX (MSET knows no expiry)."""

        def write(pipe: Any) -> None:
            for key, value in items.items():
                pipe.set(_PREFIX + key, value, px=self._ttl_ms)

        if items and self._circuit.takes_writes():
            self._circuit.written(self._piped(write))

    def acquire(self, keys: Sequence[str], token: str) -> set[str]:
        """SET NX PX for every key; without Redis all are granted, and work may be done twice."""
        wanted = list(keys)

        def lock(pipe: Any) -> None:
            for key in wanted:
                pipe.set(_lock_name(key), token, nx=True, px=self._lock_ms)

        granted = self._piped(lock) if wanted and self._circuit.takes_writes() else None
        self._circuit.written(granted)
        if granted is None:
            return set(wanted)
        # A right that was refused with an error can be held by nobody: the work may be done twice.
        return {key for key, won in zip(wanted, granted, strict=True) if won}

    def renew(self, keys: Sequence[str], token: str) -> None:
        """Extend our own rights; one that was lost meanwhile stays with its new holder."""
        held = list(keys)

        def extend(pipe: Any) -> None:
            for key in held:
                pipe.eval(_RENEW, 1, _lock_name(key), token, self._lock_ms)

        if held:
            self._piped(extend)

    def release(self, keys: Sequence[str], token: str) -> None:
        """Delete our own rights, never another holder's."""
        held = list(keys)

        def drop(pipe: Any) -> None:
            for key in held:
                pipe.eval(_RELEASE, 1, _lock_name(key), token)

        if held:
            self._piped(drop)

    def locked(self, keys: Sequence[str]) -> Set[str]:
        """Keys somebody computes now; none, as far as is known, without Redis."""
        wanted = list(keys)
        if not wanted:
            return set()
        holders: Any = self._guarded(
            lambda: self._client.mget([_lock_name(key) for key in wanted]), [None] * len(wanted)
        )
        return {key for key, holder in zip(wanted, holders, strict=True) if holder is not None}

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _piped(self, fill: Callable[[Any], None]) -> list[Any] | None:
        """Send one pipeline; None if Redis did not answer. A write refused is an error in its place."""

        def send() -> list[Any]:
            with self._client.pipeline(transaction=False) as pipe:
                fill(pipe)
                return list(pipe.execute(raise_on_error=False))

        return self._guarded(send, None)

    def _guarded(self, action: Callable[[], _T], fallback: _T | None) -> _T | Any:
        """Run one exchange unless the circuit is open; a failure opens it."""
        if not self._circuit.may_try():
            return fallback
        try:
            result = action()
        except redis.RedisError as error:
            self._circuit.failed(error)
            return fallback
        self._circuit.answered()
        return result


def _lock_name(key: str) -> str:
    return f"{_PREFIX}lock:{key}"
