"""Operations on disk: one sqlite file, every change of which is whole or not at all.

Several oracles may share the file. Each works only on operations of its own scale, and takes up what one that
has ended left behind.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from oracle_svc.service.operations.rows import COLUMNS, SCHEMA, WITHOUT_CONTENT, OperationRow, State, row_of

__all__ = ["OperationStore", "QueueFullError"]

_LIVE = (State.QUEUED, State.RUNNING)
_LAST_NUMBER = 2**63 - 1


class QueueFullError(Exception):
    """There are as many unfinished operations as there may be."""


class OperationStore:
    """Reads and writes operations. Thread-safe.

    Parameters
    ----------
    path
        The file; its folder is created.
    clock
        Seconds since 1970.

    Raises
    ------
    ValueError
        The file cannot be used.
    """

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, timeout=30.0, check_same_thread=False, isolation_level=None)
            self._db.row_factory = sqlite3.Row
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.executescript(SCHEMA)
        except (sqlite3.DatabaseError, OSError) as error:
            raise ValueError(
                f"{path} cannot hold operations ({error}); name another folder with --state, or none"
            ) from error

    def submit(
        self,
        row: OperationRow,
        *,
        key: str | None,
        priority: int,
        most: int,
    ) -> OperationRow:
        """Store a new operation, or return the one that was submitted with this key before.

        Raises
        ------
        QueueFullError
            There are `most` unfinished ones already.
        """
        with self._transaction() as db:
            self._forget_expired(db)
            if key is not None:
                known = db.execute(f"SELECT {COLUMNS} FROM operation WHERE key = ?", (key,)).fetchone()  # noqa: S608  # our own names
                if known is not None:
                    return row_of(known)
            (live,) = db.execute("SELECT COUNT(*) FROM operation WHERE state IN (?, ?)", _LIVE).fetchone()
            if live >= most:
                raise QueueFullError(f"{live} operations are unfinished already")
            db.execute(
                "INSERT INTO operation (id, key, digest, oracle, calculator, priority, retention_s, request, "
                "state, done, total, created, warnings) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (row.id, key, row.digest, row.oracle, row.calculator, priority, row.retention_s, row.request,
                 State.QUEUED, 0, row.total, row.created, json.dumps(row.warnings)),
            )  # fmt: skip
        return row

    def get(self, operation: str) -> OperationRow | None:
        """The operation, None if it is unknown or its result has expired."""
        query = f"SELECT {COLUMNS} FROM operation WHERE id = ? AND (expires IS NULL OR expires >= ?)"  # noqa: S608
        with self._lock:
            found = self._db.execute(query, (operation, self._clock())).fetchone()
        return None if found is None else row_of(found)

    def listed(self, states: Sequence[State], *, most: int, before: str = "") -> list[OperationRow]:
        """Return operations without requests and responses, newest first.

        Parameters
        ----------
        states
            Those in one of these.
        most
            So many at most.
        before
            Id of one; only older ones are returned. Empty: from the newest.

        Raises
        ------
        KeyError
            There is no operation `before`.
        """
        marks = ", ".join("?" for _ in states)
        query = (
            f"SELECT {WITHOUT_CONTENT} FROM operation WHERE state IN ({marks}) AND number < ? "  # noqa: S608
            "AND (expires IS NULL OR expires >= ?) ORDER BY number DESC LIMIT ?"
        )
        with self._lock:
            number = _LAST_NUMBER
            if before:
                found = self._db.execute("SELECT number FROM operation WHERE id = ?", (before,)).fetchone()
                if found is None:
                    raise KeyError(before)
                number = found["number"]
            rows = self._db.execute(query, (*states, number, self._clock(), most)).fetchall()
        return [row_of(row) for row in rows]

    def claim(self, oracle: str, owner: str, operation: str | None = None) -> OperationRow | None:
        """Take up the next waiting operation of this scale, or the one named; None if there is none."""
        which = "" if operation is None else " AND id = ?"
        with self._transaction() as db:
            found = db.execute(
                f"SELECT id FROM operation WHERE state = ? AND oracle = ?{which} "  # noqa: S608
                "ORDER BY priority DESC, number LIMIT 1",
                (State.QUEUED, oracle, *([] if operation is None else [operation])),
            ).fetchone()
            if found is None:
                return None
            db.execute(
                "UPDATE operation SET state = ?, owner = ?, attempts = attempts + 1, "
                "started = COALESCE(started, ?) WHERE id = ?",
                (State.RUNNING, owner, self._clock(), found["id"]),
            )
            taken = db.execute(f"SELECT {COLUMNS} FROM operation WHERE id = ?", (found["id"],)).fetchone()  # noqa: S608
        return row_of(taken)

    def counts(self) -> dict[State, int]:
        """How many operations are in each state that any is in."""
        with self._lock:
            rows = self._db.execute("SELECT state, COUNT(*) AS number FROM operation GROUP BY state")
            return {State(row["state"]): int(row["number"]) for row in rows}

    def owners(self) -> list[str]:
        """Processes that work on operations, or did when they ended."""
        with self._lock:
            rows = self._db.execute("SELECT DISTINCT owner FROM operation WHERE state = ?", (State.RUNNING,))
            return [str(row["owner"]) for row in rows]

    def release(self, owner: str, *, warning: str = "") -> list[str]:
        """Put the operations that a process worked on back into the queue; returns their ids."""
        with self._transaction() as db:
            rows = db.execute(
                "SELECT id, warnings FROM operation WHERE state = ? AND owner = ?", (State.RUNNING, owner)
            ).fetchall()
            for row in rows:
                warnings = [*json.loads(row["warnings"]), *([warning] if warning else [])]
                db.execute(
                    "UPDATE operation SET state = ?, owner = NULL, warnings = ? WHERE id = ?",
                    (State.QUEUED, json.dumps(list(dict.fromkeys(warnings))), row["id"]),
                )
        return [str(row["id"]) for row in rows]

    def put_back(self, operation: str) -> None:
        """Put an operation back into the queue that this process gave up without fault."""
        with self._transaction() as db:
            db.execute(
                "UPDATE operation SET state = ?, owner = NULL, attempts = MAX(0, attempts - 1) WHERE id = ?",
                (State.QUEUED, operation),
            )

    def ask_to_stop(self, operation: str) -> None:
        """Note that an unfinished operation is to stop."""
        with self._transaction() as db:
            db.execute(
                "UPDATE operation SET cancel = 1 WHERE id = ? AND state IN (?, ?)", (operation, *_LIVE)
            )

    def is_to_stop(self, operation: str) -> bool:
        """Return whether it was asked to stop."""
        with self._lock:
            row = self._db.execute("SELECT cancel FROM operation WHERE id = ?", (operation,)).fetchone()
        return row is None or bool(row["cancel"])

    def finish(
        self, operation: str, state: State, *, response: bytes | None = None, error: bytes | None = None
    ) -> None:
        """End an operation; what it kept on the way is dropped with the same stroke."""
        now = self._clock()
        with self._transaction() as db:
            db.execute(
                "UPDATE operation SET state = ?, owner = NULL, ended = ?, expires = ? + retention_s, "
                "response = ?, error = ?, done = CASE WHEN ? THEN total ELSE done END WHERE id = ?",
                (state, now, now, response, error, state is State.SUCCEEDED, operation),
            )
            db.execute("DELETE FROM finding WHERE operation = ?", (operation,))

    def keep(self, operation: str, findings: Sequence[tuple[str, bytes]]) -> None:
        """Keep findings of an operation by key."""
        with self._transaction() as db:
            db.executemany(
                "INSERT OR REPLACE INTO finding (operation, key, value) VALUES (?, ?, ?)",
                [(operation, key, value) for key, value in findings],
            )
            db.execute("UPDATE operation SET attempts = 0 WHERE id = ?", (operation,))

    def findings(self, operation: str) -> dict[str, bytes]:
        """Return the stored results of an operation."""
        with self._lock:
            rows = self._db.execute("SELECT key, value FROM finding WHERE operation = ?", (operation,))
            return {str(row["key"]): bytes(row["value"]) for row in rows}

    def progress(self, operation: str, done: int) -> None:
        """Note how many structures are finished."""
        with self._transaction() as db:
            db.execute("UPDATE operation SET done = ? WHERE id = ?", (done, operation))

    def forget_expired(self) -> None:
        """Drop operations whose results have been kept long enough."""
        with self._transaction() as db:
            self._forget_expired(db)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    def _forget_expired(self, db: sqlite3.Connection) -> None:
        db.execute("DELETE FROM operation WHERE expires < ?", (self._clock(),))

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")
