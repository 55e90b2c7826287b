"""An operation as it is stored."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from enum import IntEnum

from xenolith.v1 import oracle_pb2

__all__ = ["COLUMNS", "SCHEMA", "WITHOUT_CONTENT", "OperationRow", "State", "row_of"]

SCHEMA = """
CREATE TABLE IF NOT EXISTS operation (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE, key TEXT UNIQUE, digest TEXT NOT NULL, oracle TEXT NOT NULL,
    calculator TEXT NOT NULL, priority INTEGER NOT NULL, retention_s REAL NOT NULL, request BLOB NOT NULL,
    state INTEGER NOT NULL, done INTEGER NOT NULL, total INTEGER NOT NULL,
    created REAL NOT NULL, started REAL, ended REAL, expires REAL,
    cancel INTEGER NOT NULL DEFAULT 0, owner TEXT, attempts INTEGER NOT NULL DEFAULT 0,
    response BLOB, error BLOB, warnings TEXT NOT NULL DEFAULT '[]'
);
CREATE INDEX IF NOT EXISTS operation_next ON operation (state, oracle, priority DESC, number);
CREATE TABLE IF NOT EXISTS finding (
    operation TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY (operation, key)
) WITHOUT ROWID;
"""


class State(IntEnum):
    """State of an operation; the numbers are those of the contract."""

    QUEUED = 1
    RUNNING = 2
    SUCCEEDED = 3
    FAILED = 4
    CANCELLED = 5

    @property
    def done(self) -> bool:
        """Whether nothing more happens."""
        return self in {State.SUCCEEDED, State.FAILED, State.CANCELLED}


@dataclass(frozen=True, kw_only=True)
class OperationRow:
    """An operation as it is stored. Times are seconds since 1970."""

    id: str
    digest: str
    """SHA-256 (hex) of the request: what a repeated idempotency key is held against."""
    oracle: str
    """Digest of the scale of measurement; only an oracle with the same works on it."""
    calculator: str
    """Calculator id of that oracle, for people."""
    retention_s: float
    request: bytes
    state: State
    done: int
    total: int
    created: float
    started: float | None
    ended: float | None
    expires: float | None
    cancel: bool
    """Whether it was asked to stop."""
    attempts: int
    """Times it was taken up since its last progress."""
    response: bytes | None
    error: bytes | None
    warnings: tuple[str, ...]

    def message(self) -> oracle_pb2.Operation:
        """The operation in the contract's words."""
        operation = oracle_pb2.Operation(
            id=self.id,
            structures_done=self.done,
            structures_total=self.total,
            warnings=self.warnings,
        )
        operation.state = int(self.state)  # type: ignore[assignment]  # our numbers are the contract's
        times = {
            "create_time": self.created,
            "start_time": self.started,
            "end_time": self.ended,
            "expire_time": self.expires,
        }
        for name, seconds in times.items():
            if seconds is not None:
                getattr(operation, name).FromNanoseconds(int(seconds * 1e9))
        if self.response is not None:
            operation.response.ParseFromString(self.response)
        if self.error is not None:
            operation.error.ParseFromString(self.error)
        return operation


COLUMNS = (
    "id, digest, oracle, calculator, retention_s, request, state, done, total, created, started, ended, "
    "expires, cancel, attempts, response, error, warnings"
)

WITHOUT_CONTENT = COLUMNS.replace(" request,", " x'' AS request,").replace(" response,", " NULL AS response,")
"""As `COLUMNS`, without what may be large."""


def row_of(values: sqlite3.Row) -> OperationRow:
    """The operation in a row of `COLUMNS`."""
    plain = dict(values)
    plain["state"] = State(plain["state"])
    plain["cancel"] = bool(plain["cancel"])
    plain["warnings"] = tuple(json.loads(plain["warnings"]))
    return OperationRow(**plain)
