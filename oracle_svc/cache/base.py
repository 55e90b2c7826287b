"""The interface of a cache backend, and the rules its users rely on.

A backend stores opaque bytes under string keys. It is an accelerator: whatever happens to it, `get_many` and
`set_many` return, and the oracle computes what it could not read. Values carry their own checksum (see
`codec`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Protocol, runtime_checkable

__all__ = ["SCHEMA_VERSION", "Cache", "NoCache"]

SCHEMA_VERSION = 1
"""Version of everything under a key; raising it makes old entries unreachable (Redis) or drops them
(sqlite)."""


@runtime_checkable
class Cache(Protocol):
    """A store of bytes that may forget, but never fails and never lies. Thread-safe."""

    @property
    def name(self) -> str:
        """Name of the cache, for logs and Describe, without credentials."""
        ...

    @property
    def outage(self) -> str | None:
        """For the user, while the store does not answer; None while it does."""
        ...

    def get_many(self, keys: Sequence[str]) -> dict[str, bytes]:
        """Values of the keys that are present, in one round trip. An unreachable store is an empty one."""
        ...

    def set_many(self, items: Mapping[str, bytes]) -> None:
        """Store every item, in one round trip. An unreachable store forgets them."""
        ...

    def acquire(self, keys: Sequence[str], token: str) -> set[str]:
        """Take the right to compute these keys, across processes; returns those obtained.

        The right is a hint that saves work, never a promise: it expires unless renewed, and a store that is
        unreachable, or shared with nobody, grants every key.
        """
        ...

    def renew(self, keys: Sequence[str], token: str) -> None:
        """Keep rights obtained under `token` from expiring."""
        ...

    def release(self, keys: Sequence[str], token: str) -> None:
        """Give back rights obtained under `token`; those of others stay."""
        ...

    def locked(self, keys: Sequence[str]) -> Set[str]:
        """Keys that some process still holds the right to."""
        ...

    @property
    def lock_ttl_s(self) -> float | None:
        """Seconds after which an unrenewed right expires; None if no other process shares the store."""
        ...

    def close(self) -> None:
        """Free connections and files. The cache is not used afterwards."""
        ...


class NoCache:
    """The cache of an oracle that is told to remember nothing (`none:`)."""

    name = "none:"
    outage: str | None = None
    lock_ttl_s: float | None = None

    def get_many(self, keys: Sequence[str]) -> dict[str, bytes]:
        """Nothing."""
        return {}

    def set_many(self, items: Mapping[str, bytes]) -> None:
        """Forget."""

    def acquire(self, keys: Sequence[str], token: str) -> set[str]:
        """Grant every key."""
        return set(keys)

    def renew(self, keys: Sequence[str], token: str) -> None:
        """Do nothing: no right is recorded."""

    def release(self, keys: Sequence[str], token: str) -> None:
        """Do nothing: no right is recorded."""

    def locked(self, keys: Sequence[str]) -> Set[str]:
        """No key."""
        return set()

    def close(self) -> None:
        """Do nothing: nothing is open."""
