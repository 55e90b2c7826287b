"""The second opinions on a batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from oracle_svc.cache.store import Record
from oracle_svc.crystals.canonical import CanonicalForm
from oracle_svc.pipeline.auditors import Auditor
from oracle_svc.pipeline.energies import energy_records
from oracle_svc.pipeline.resources import Instruments
from oracle_svc.pipeline.results import Audit, Component, Score, ScoreOptions, Stats
from oracle_svc.status import Outcome, Status
from xenolith.crystal import CrystalBatch

__all__ = ["fill_audits"]


def fill_audits(
    instruments: Instruments,
    options: ScoreOptions,
    scores: Sequence[Score],
    forms: Sequence[CanonicalForm],
    form_of: Mapping[int, int],
    stats: Stats,
    stop: Callable[[], bool],
) -> None:
    """Add what each auditor asked for says of each structure that passed the validity gate.

    Parameters
    ----------
    forms
        Distinct crystals.
    form_of
        Distinct crystal of each structure that passed the gate.
    """
    if Component.AUDIT not in options.components:
        return
    for index in form_of:
        scores[index].outcomes[Component.AUDIT] = Outcome(status=Status.OK)
    for auditor in instruments.chosen_auditors(options.audit_calculator_ids):
        opinions = _Opinions(instruments, auditor, options, forms, stats, stop).all()
        for index, row in form_of.items():
            opinion, score = opinions[row], scores[index]
            score.audits.append(opinion)
            if opinion.status is not Status.OK and score.outcomes[Component.AUDIT].status is Status.OK:
                message = f"{auditor.id}: {opinion.message}"
                score.outcomes[Component.AUDIT] = Outcome(status=opinion.status, message=message)


class _Opinions:
    """What one auditor says of the distinct crystals of a batch."""

    def __init__(
        self,
        instruments: Instruments,
        auditor: Auditor,
        options: ScoreOptions,
        forms: Sequence[CanonicalForm],
        stats: Stats,
        stop: Callable[[], bool],
    ) -> None:
        self._auditor, self._options, self._forms = auditor, options, forms
        self._store, self._stats, self._stop = instruments.store, stats, stop
        self._failures: dict[int, Outcome] = {}

    def all(self) -> list[Audit]:
        """One opinion per crystal."""
        if not self._forms:
            return []
        records = self._energies()
        hull = self._auditor.hull()
        if hull is None:
            return [self._bare(row, record) for row, record in enumerate(records)]
        energies = np.array([np.nan if r is None else float(r["energy_per_atom"]) for r in records])
        batch = CrystalBatch.from_crystals(form.crystal for form in self._forms)
        placed = hull.evaluate(batch, energies)
        opinions = []
        for row, record in enumerate(records):
            status = placed.statuses[row]
            if record is None or status is not Status.OK:
                opinions.append(self._bare(row, record, status, placed.messages[row]))
                continue
            opinions.append(
                Audit(
                    calculator_id=self._auditor.id,
                    status=Status.OK,
                    energy_per_atom=float(energies[row]),
                    e_above_hull=float(placed.e_above_hull[row]),
                    formation_energy_per_atom=float(placed.formation_energy_per_atom[row]),
                    hull_id=self._auditor.hull_id,
                )
            )
        return opinions

    def _bare(self, row: int, record: Record | None, status: Status = Status.OK, message: str = "") -> Audit:
        """An opinion without a hull, or the lack of one."""
        if record is None:
            outcome = self._failures.get(
                row, Outcome(status=Status.CALCULATOR_FAILED, message="no energy came back")
            )
            return Audit(calculator_id=self._auditor.id, status=outcome.status, message=outcome.message)
        return Audit(
            calculator_id=self._auditor.id,
            status=status,
            message=message,
            energy_per_atom=float(record["energy_per_atom"]),
            hull_id=self._auditor.hull_id,
        )

    def _energies(self) -> list[Record | None]:
        kind, forms = self._auditor.energy_kind, self._forms
        records: list[Record | None] = [None] * len(forms)
        if not self._options.use_cache:
            for portion in self._compute(list(range(len(forms)))):
                for row, record in portion.items():
                    records[row] = record
            self._stats.cache_misses += len(forms)
            return records
        records = self._store.fetch([kind], forms)[kind.component]
        before = sum(record is not None for record in records)
        hits = before + len(self._store.complete(kind, forms, records, self._compute, self._stop))
        self._stats.cache_hits += hits
        self._stats.cache_misses += len(forms) - hits
        return records

    def _compute(self, rows: list[int]) -> Iterator[Mapping[int, Record]]:
        if not rows:
            return  # nobody needs the auditor's processes
        yield from energy_records(
            self._auditor.pool(),
            self._forms,
            rows,
            options=self._options,
            stats=self._stats,
            failures=self._failures,
            stop=self._stop,
        )
