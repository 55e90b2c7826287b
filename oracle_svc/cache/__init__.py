"""The oracle's cache: one protocol (`base`), one file per backend, chosen by a URL."""

from __future__ import annotations

import structlog

from oracle_svc.cache.base import Cache, NoCache

__all__ = ["Cache", "NoCache", "open_cache"]

log = structlog.get_logger(__name__)


def open_cache(url: str, *, max_bytes: int = 2**30, ttl_s: float = 30 * 86400.0) -> Cache:
    """Open the cache a URL names.

    Parameters
    ----------
    url
        `sqlite:///relative.db`, `sqlite:////absolute.db` or the file's path, `redis://[:password@]host:port/db`,
        `rediss://...`, `unix:///path/redis.sock`, or `none`.
    max_bytes
        Size limit of the embedded store. Redis has its own (`maxmemory`, `allkeys-lru`).
    ttl_s
        Life of an entry in Redis, seconds. Results are deterministic: it bounds memory, not staleness.

    Raises
    ------
    ValueError
        The scheme is none of these, or the file cannot be used.
    """
    scheme, _, rest = url.partition("://")
    if url in {"none", "none:", "none://"}:
        return NoCache()
    if scheme in {"redis", "rediss", "unix"} and rest:
        from oracle_svc.cache.redis_ import RedisCache

        shared = RedisCache(url, ttl_s=ttl_s)
        if advice := shared.advice():
            log.warning("redis is not set up as a cache", advice=advice)
        return shared
    if url and (scheme == "sqlite" or "://" not in url):
        from oracle_svc.cache.sqlite import SqliteCache

        return SqliteCache(url.removeprefix("sqlite:///"), max_bytes=max_bytes)
    raise ValueError(
        f"cache {url!r}: expected sqlite:///FILE, redis://HOST:PORT/DB, rediss://, unix:// or none"
    )
