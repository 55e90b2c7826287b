"""The embedded cache: one sqlite file in write-ahead-log mode."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Mapping, Sequence, Set
from pathlib import Path
from typing import TypeVar

import structlog

from oracle_svc.cache.base import SCHEMA_VERSION

__all__ = ["SqliteCache"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS entry (
    key TEXT PRIMARY KEY, value BLOB NOT NULL, size INTEGER NOT NULL, used INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS entry_used ON entry (used);
"""
_KEYS_PER_QUERY = 500
_USED_GRAIN_S = 60
"""An entry's last use is rewritten at most this often, so that reads stay reads."""
_KEEP_AFTER_EVICTION = 0.9

_T = TypeVar("_T")

log = structlog.get_logger(__name__)


class SqliteCache:
    """Bytes in a local file, least recently used first out.

    Parameters
    ----------
    path
        The file; its folder is created. `:memory:` keeps everything in the process.
    max_bytes
        Sum of value sizes above which the least recently used entries are dropped, down to 90 % of it.

    Raises
    ------
    ValueError
        The file exists and is not an sqlite database.
    """

    lock_ttl_s: float | None = None  # embedded: no other process computes for this store

    def __init__(self, path: Path | str, *, max_bytes: int = 2**30) -> None:
        self.name = f"sqlite:///{path}"
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._failing = False
        if str(path) != ":memory:":
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        try:
            self._db = sqlite3.connect(str(path), timeout=2.0, check_same_thread=False, isolation_level=None)
            self._prepare()
        except sqlite3.DatabaseError as error:
            raise ValueError(
                f"{path} cannot be used as a cache ({error}): delete it or name another file"
            ) from error
        self._bytes = self._stored_bytes()

    @property
    def outage(self) -> str | None:
        """For the user, while the file cannot be read or written."""
        return f"{self.name} cannot be used; scoring without cache" if self._failing else None

    def get_many(self, keys: Sequence[str]) -> dict[str, bytes]:
        """Values of the keys that are present."""
        return self._guarded(lambda: self._read(list(dict.fromkeys(keys))), {})

    def set_many(self, items: Mapping[str, bytes]) -> None:
        """Store every item in one transaction, then hold the size limit."""
        if items:
            self._guarded(lambda: self._write(items), None)

    def acquire(self, keys: Sequence[str], token: str) -> set[str]:
        """Grant every key: threads of this process share through `flight` already."""
        return set(keys)

    def renew(self, keys: Sequence[str], token: str) -> None:
        """Do nothing: rights never expire here."""

    def release(self, keys: Sequence[str], token: str) -> None:
        """Do nothing: no right is recorded."""

    def locked(self, keys: Sequence[str]) -> Set[str]:
        """No key."""
        return set()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    def _prepare(self) -> None:
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version != SCHEMA_VERSION:
            self._db.execute("DROP TABLE IF EXISTS entry")
        self._db.executescript(_SCHEMA)
        self._db.execute(f"PRAGMA user_version={SCHEMA_VERSION}")

    def _stored_bytes(self) -> int:
        return int(self._db.execute("SELECT COALESCE(SUM(size), 0) FROM entry").fetchone()[0])

    def _read(self, keys: list[str]) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        stale: list[str] = []
        now = int(time.time())
        for start in range(0, len(keys), _KEYS_PER_QUERY):
            part = keys[start : start + _KEYS_PER_QUERY]
            marks = ",".join("?" * len(part))
            query = f"SELECT key, value, used FROM entry WHERE key IN ({marks})"  # noqa: S608  # marks are "?,?"
            for key, value, used in self._db.execute(query, part):
                found[key] = bytes(value)
                if now - used > _USED_GRAIN_S:
                    stale.append(key)
        if stale:
            self._db.execute("BEGIN IMMEDIATE")
            with self._db:
                self._db.executemany("UPDATE entry SET used = ? WHERE key = ?", [(now, key) for key in stale])
        return found

    def _write(self, items: Mapping[str, bytes]) -> None:
        now = int(time.time())
        rows = [(key, value, len(value), now) for key, value in items.items()]
        self._db.execute("BEGIN IMMEDIATE")
        with self._db:
            self._db.executemany("INSERT OR REPLACE INTO entry VALUES (?, ?, ?, ?)", rows)
        self._bytes += sum(len(value) for value in items.values())
        if self._bytes > self._max_bytes:
            self._evict()

    def _evict(self) -> None:
        """Drop the least recently used entries; recount first, since replaced rows were counted twice."""
        excess = self._stored_bytes() - int(self._max_bytes * _KEEP_AFTER_EVICTION)
        self._db.execute("BEGIN IMMEDIATE")
        with self._db:
            for key, size in self._db.execute("SELECT key, size FROM entry ORDER BY used, key").fetchall():
                if excess <= 0:
                    break
                self._db.execute("DELETE FROM entry WHERE key = ?", (key,))
                excess -= size
        self._bytes = self._stored_bytes()

    def _guarded(self, action: Callable[[], _T], fallback: _T) -> _T:
        """Run one action; a full disk or a lost file costs the cache for a while, never the oracle."""
        try:
            with self._lock:
                result = action()
        except sqlite3.Error as error:
            if not self._failing:
                log.warning("cache unavailable, computing without it", cache=self.name, error=str(error))
            self._failing = True
            return fallback
        if self._failing:
            log.info("cache available again", cache=self.name)
        self._failing = False
        return result
