"""The journal of an operation: findings by crystal, in the operations' file."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

import structlog

from oracle_svc.cache.store import Kind, Record
from oracle_svc.codec import CodecError, decode, encode
from oracle_svc.crystals.canonical import CanonicalForm
from oracle_svc.service.operations.store import OperationStore
from oracle_svc.status import Outcome, Status

__all__ = ["OperationJournal"]

log = structlog.get_logger(__name__)


class OperationJournal:
    """Findings of one operation.

    Parameters
    ----------
    store
        Where they are kept.
    operation
        Its id.
    closed
        Measure nothing more: the answer is made of what is kept.
    on_progress
        Told how many structures are finished.
    """

    def __init__(
        self,
        store: OperationStore,
        operation: str,
        *,
        closed: bool = False,
        on_progress: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._store, self._operation, self._on_progress = store, operation, on_progress
        self.closed = closed
        self._found = store.findings(operation)
        self._structures: list[int] = []
        self._settled: set[int] = set()
        self._others = 0

    def begin(self, structures: Sequence[int], others: int) -> None:
        """Learn how many structures each crystal stands for, and how many need no measurement."""
        self._structures, self._others = list(structures), others
        self._tell()

    def settle(self, rows: Sequence[int]) -> None:
        """Count crystals as finished."""
        self._settled.update(rows)
        self._tell()

    def recall(self, kind: Kind, form: CanonicalForm) -> Record | Outcome | None:
        """Return what was found of a crystal before; a damaged entry counts as nothing."""
        data = self._found.get(_key(kind, form))
        if data is None:
            return None
        try:
            record = decode(data)
        except CodecError as error:
            log.warning("finding is unreadable", operation=self._operation, error=str(error))
            return None
        if "failed" in record:
            return Outcome(status=Status(record["failed"]), message=record["message"])
        return record

    def keep(self, kind: Kind, findings: Sequence[tuple[CanonicalForm, Record | Outcome]]) -> None:
        """Write findings to disk before they count as done."""
        entries = [(_key(kind, form), _packed(found)) for form, found in findings]
        if entries:
            self._store.keep(self._operation, entries)
            self._found.update(entries)

    def _tell(self) -> None:
        self._on_progress(self._others + sum(self._structures[row] for row in self._settled))


def _packed(found: Record | Outcome) -> bytes:
    if isinstance(found, Outcome):
        return encode({"failed": int(found.status), "message": found.message})
    return encode(found)


def _key(kind: Kind, form: CanonicalForm) -> str:
    """Key of a finding: the same request gives the same forms, bit by bit."""
    digest = hashlib.sha256(f"{kind.component}:{kind.digest}:".encode())
    for array in (form.lattice, form.numbers, form.frac_coords):
        digest.update(array.tobytes())
    return digest.hexdigest()
