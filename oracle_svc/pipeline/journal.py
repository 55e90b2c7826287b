"""What a long scoring leaves behind as it goes, so that a restart begins where it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

from oracle_svc.cache.store import Compute, Kind, Record
from oracle_svc.crystals.canonical import CanonicalForm
from oracle_svc.status import Outcome

__all__ = ["Journal", "journaled"]


class Journal(Protocol):
    """Keeps the measurements of one scoring."""

    @property
    def closed(self) -> bool:
        """Whether nothing more is to be measured: what is kept is all there will be."""
        ...

    def begin(self, structures: Sequence[int], others: int) -> None:
        """Learn the size of the work: structures of each distinct crystal, and those never measured."""
        ...

    def settle(self, rows: Sequence[int]) -> None:
        """Learn that these distinct crystals have all that they will have."""
        ...

    def recall(self, kind: Kind, form: CanonicalForm) -> Record | Outcome | None:
        """What was kept of a crystal: its record, why it has none, or nothing."""
        ...

    def keep(self, kind: Kind, findings: Sequence[tuple[CanonicalForm, Record | Outcome]]) -> None:
        """Keep measurements, or why there are none, before anybody is told."""
        ...


def journaled(
    journal: Journal,
    kind: Kind,
    forms: Sequence[CanonicalForm],
    failures: Mapping[int, Outcome],
    compute: Compute,
    on_kept: Callable[[list[int], list[int]], None],
) -> Compute:
    """Return `compute`, with every portion kept as it comes, failures included.

    Parameters
    ----------
    failures
        Why crystals have no record, by index; `compute` adds to it as it goes.
    on_kept
        Told which crystals have a record now, and which will never have one.
    """
    told: set[int] = set(failures)

    def kept(rows: list[int]) -> Iterator[Mapping[int, Record]]:
        for portion in compute(rows):
            failed = {row: failures[row] for row in failures.keys() - told}
            told.update(failed)
            findings: list[tuple[CanonicalForm, Record | Outcome]] = []
            findings += [(forms[row], record) for row, record in portion.items()]
            findings += [(forms[row], outcome) for row, outcome in failed.items()]
            journal.keep(kind, findings)
            on_kept([*portion], [*failed])
            yield portion

    return kept
