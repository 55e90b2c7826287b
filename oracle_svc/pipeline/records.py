"""Measurements of distinct crystals, and the journal in which a long scoring keeps them as they come."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from oracle_svc.cache.store import Compute, Kind, Record
from oracle_svc.crystals.canonical import CanonicalForm
from oracle_svc.status import Outcome

__all__ = ["Journal", "Records", "journaled", "recall"]


@dataclass(kw_only=True)
class Records:
    """Measurements of one kind, of the distinct crystals of a batch."""

    kind: Kind
    forms: Mapping[int, CanonicalForm]
    """Crystals that are measured, by row (index among the distinct crystals)."""
    found: dict[int, Record] = field(default_factory=dict)
    """What was measured, by row."""
    cached: set[int] = field(default_factory=set)
    """Rows whose measurement was made by an earlier call, or by another one at the same time."""
    failures: dict[int, Outcome] = field(default_factory=dict)
    """Why crystals have no record, as far as that is known."""

    def get(self, row: int) -> Record | None:
        """Return the record of a crystal; None if it has none."""
        return self.found.get(row)


class Journal(Protocol):
    """Keeps the measurements of one scoring, so that after a restart it goes on where it was."""

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
        """Return what was kept of a crystal: its record, or why it has none; None if nothing was."""
        ...

    def keep(self, kind: Kind, findings: Sequence[tuple[CanonicalForm, Record | Outcome]]) -> None:
        """Keep measurements, or why there are none, before they count as done."""
        ...


def recall(journal: Journal, records: Records) -> None:
    """Add what the journal has kept of crystals without a record."""
    for row, form in records.forms.items():
        kept = None if row in records.found else journal.recall(records.kind, form)
        if isinstance(kept, Outcome):
            records.failures[row] = kept
        elif kept is not None:
            records.found[row] = kept


def journaled(
    journal: Journal, records: Records, compute: Compute, on_kept: Callable[[list[int], list[int]], None]
) -> Compute:
    """Return `compute` for crystals that have not failed before, with every portion kept as it comes.

    Parameters
    ----------
    records
        What is measured; `compute` adds to its failures as it goes, and they are kept too.
    on_kept
        Called with the crystals that have a record now, and with those that will never have one.
    """
    failures = records.failures
    known: set[int] = set(failures)

    def kept(rows: list[int]) -> Iterator[Mapping[int, Record]]:
        for portion in compute([row for row in rows if row not in failures]):
            failed = {row: failures[row] for row in failures.keys() - known}
            known.update(failed)
            findings: list[tuple[CanonicalForm, Record | Outcome]] = []
            findings += [(records.forms[row], record) for row, record in portion.items()]
            findings += [(records.forms[row], outcome) for row, outcome in failed.items()]
            journal.keep(records.kind, findings)
            on_kept([*portion], [*failed])
            yield portion

    return kept
