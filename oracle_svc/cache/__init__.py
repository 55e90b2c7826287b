"""The oracle's cache: one protocol (`base`), one file per backend, chosen by a URL."""

from __future__ import annotations

import re

import structlog

from oracle_svc.cache.base import Cache, NoCache

__all__ = ["Cache", "NoCache", "open_cache", "without_secret"]

# A scheme of two letters and more before a colon: C:/cache is a file.
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
_SECRET = re.compile(r"^([A-Za-z0-9+.-]+:/*)?.*@", re.DOTALL)

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

        try:
            shared = RedisCache(url, ttl_s=ttl_s)
        except ValueError:
            # The parser's own words hold what it could not parse, which may be a part of a password.
            raise ValueError(
                f"cache {without_secret(url)!r} is no address of Redis: in passwords write %2F, %23, %3F and"
                " %40 for / # ? @"
            ) from None
        if advice := shared.advice():
            log.warning("redis is not set up as a cache", advice=advice)
        return shared
    if url and (scheme == "sqlite" or not _SCHEME.match(url)):
        from oracle_svc.cache.sqlite import SqliteCache

        return SqliteCache(url.removeprefix("sqlite:///"), max_bytes=max_bytes)
    raise ValueError(
        f"cache {without_secret(url)!r}: expected sqlite:///FILE, redis://HOST:PORT/DB, rediss://, unix:// or"
        " none"
    )


def without_secret(url: str) -> str:
    """Return an address without user and password: all that stands before its last ``@``."""
    return _SECRET.sub(r"\1***@", url)
