"""One batch on its way through the oracle.

Each stage sees the structures that the stages before it let through, and gives the others a typed status. A
crystal is measured in its primitive cell on a reduced basis: all its descriptions get one score, and the
smallest is the cheapest.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import numpy as np

from oracle_svc.crystals.canonical import CanonicalForm, same_crystal
from oracle_svc.pipeline.audit import fill_audits
from oracle_svc.pipeline.diversity import fill_diversity
from oracle_svc.pipeline.forces import ForcesStage
from oracle_svc.pipeline.journal import Journal
from oracle_svc.pipeline.judging import Judge
from oracle_svc.pipeline.measurements import Measurements
from oracle_svc.pipeline.properties import fill_properties
from oracle_svc.pipeline.resources import Instruments
from oracle_svc.pipeline.results import Component, Provenance, Score, ScoredBatch, ScoreOptions, Stats
from oracle_svc.pools.worker_pool import WorkerStoppedError
from oracle_svc.status import Outcome, Status
from xenolith.crystal import CrystalBatch

__all__ = ["BatchRun"]

_SKIPPED = Outcome(status=Status.SKIPPED, message="it failed the validity gate")


class BatchRun:
    """Scores one batch, once."""

    def __init__(
        self,
        instruments: Instruments,
        batch: CrystalBatch,
        options: ScoreOptions,
        provenance: Provenance,
        stop: Callable[[], bool],
        refused: Mapping[int, Outcome],
        journal: Journal | None = None,
    ) -> None:
        self._instruments = instruments
        self._batch = batch
        self._options = options
        self._provenance = provenance
        self._stop = stop
        self._refused = refused
        self._journal = journal
        self._stats = Stats()
        self._warnings: list[str] = []
        self._scores = [Score() for _ in range(len(batch))]
        self._forms: list[CanonicalForm] = []
        """Distinct crystals of the batch."""
        self._form_of: dict[int, int] = {}
        """Distinct crystal of each structure that passed the gate."""
        self._measured = Measurements(instruments, options, self._forms, self._stats, stop, journal)

    def run(self) -> ScoredBatch:
        """Go through all stages that the components asked for need."""
        with self._stage("recognition"):
            self._recognise()
        with self._stage("cache"):
            self._measured.look_up()
        with self._stage("energy"):
            self._measured.compute_energies()
        with self._stage("amd"):
            self._measured.compute_amd()
        with self._stage("hull"):
            self._place()
        with self._stage("forces"):
            stage = ForcesStage(self._instruments, self._options, self._measured, self._forms, self._stop)
            stage.run(self._batch, self._scores, self._form_of)
        with self._stage("comparison"):
            self._compare()
        with self._stage("properties"):
            fill_properties(
                self._instruments,
                self._options,
                self._scores,
                self._forms,
                self._form_of,
                self._measured,
                self._stats,
                self._stop,
            )
        with self._stage("audit"):
            fill_audits(
                self._instruments,
                self._options,
                self._scores,
                self._forms,
                self._form_of,
                self._stats,
                self._stop,
            )
        with self._stage("diversity"):
            fill_diversity(
                self._instruments, self._options, self._batch, self._scores, self._form_of, self._measured
            )
        outage = self._instruments.store.cache.outage if self._options.use_cache else None
        return ScoredBatch(
            scores=tuple(self._scores),
            provenance=self._provenance,
            stats=self._stats,
            warnings=(*self._warnings, *([outage] if outage else [])),
        )

    def _recognise(self) -> None:
        """The validity gate; and which structures are one and the same crystal."""
        known = self._instruments.recogniser.recognise(self._batch, use_cache=self._options.use_cache)
        seen: dict[str, list[int]] = {}
        skipped = dict.fromkeys(self._options.components - {Component.VALIDITY}, _SKIPPED)
        for index, (score, found) in enumerate(zip(self._scores, known, strict=True)):
            outcome = self._refused.get(index, found.outcome)
            score.valid = outcome.status is Status.OK
            score.outcomes[Component.VALIDITY] = outcome
            score.min_distance, score.density = found.min_distance, found.density
            score.volume_per_atom, score.formula = found.volume_per_atom, found.formula
            if not score.valid or found.form is None:
                score.outcomes.update(skipped)
                continue
            score.charge_neutral = found.charge_neutral
            self._form_of[index] = self._row_of(found.form, seen)
        if self._journal is not None:
            structures = Counter(self._form_of.values())
            rows = range(len(self._forms))
            self._journal.begin([structures[row] for row in rows], len(self._batch) - len(self._form_of))

    def _row_of(self, form: CanonicalForm, seen: dict[str, list[int]]) -> int:
        """Row of a crystal among the distinct ones; a new one if it is not among them."""
        candidates = dict.fromkeys(row for address in form.addresses for row in seen.get(address, ()))
        for row in candidates:
            if self._forms[row] is form or same_crystal(self._forms[row], form):
                return row
        self._forms.append(form)
        for address in form.addresses:
            seen.setdefault(address, []).append(len(self._forms) - 1)
        return len(self._forms) - 1

    def _place(self) -> None:
        """Set energies, and where they lie relative to the hull."""
        if not self._measured.wants_energy:
            return
        energies: dict[int, float] = {}
        for index, row in self._form_of.items():
            score, record = self._scores[index], self._measured.energies[row]
            if record is None:
                failure = self._measured.failure(row)
                score.outcomes.update(dict.fromkeys(self._measured.need_energy, failure))
                continue
            if self._options.return_embeddings:
                score.embedding = record.get("embedding")
            if Component.STABILITY in self._options.components:
                score.energy_per_atom = energies[index] = record["energy_per_atom"]
        self._above_hull(energies)

    def _above_hull(self, energies: Mapping[int, float]) -> None:
        """Place structures with an energy relative to the hull."""
        hull = self._instruments.background.hull if self._instruments.background else None
        if hull is None:
            missing = Outcome(
                status=Status.NO_REFERENCE,
                message="this oracle has no hull; start it with a --reference that has one",
            )
            for index in energies:
                self._scores[index].outcomes[Component.STABILITY] = missing
            return
        result = hull.evaluate(self._batch.take(list(energies)), np.array(list(energies.values())))
        for position, index in enumerate(energies):
            score, status = self._scores[index], result.statuses[position]
            if status is not Status.OK:
                outcome = Outcome(status=status, message=result.messages[position])
            else:
                score.e_above_hull = float(result.e_above_hull[position])
                score.formation_energy_per_atom = float(result.formation_energy_per_atom[position])
                score.decomposition = result.decompositions[position]
                outcome = Outcome(
                    status=Status.OK, cached=self._measured.is_cached("energy", self._form_of[index])
                )
            score.outcomes[Component.STABILITY] = outcome

    def _compare(self) -> None:
        if not self._measured.wants_amd:
            return
        amd: dict[int, np.ndarray] = {}
        for index, row in self._form_of.items():
            record = self._measured.amd[row]
            asked = self._measured.need_amd
            if record is None:
                failed = Outcome(status=Status.BAD_CELL, message="its neighbours are too far apart for AMD")
                self._scores[index].outcomes.update(dict.fromkeys(asked, failed))
                continue
            amd[index] = record["amd"]
            self._scores[index].outcomes.update(
                dict.fromkeys(asked, Outcome(status=Status.OK, cached=self._measured.is_cached("amd", row)))
            )
            if self._options.return_amd:
                self._scores[index].amd = record["amd"]
        judge = Judge(
            instruments=self._instruments,
            options=self._options,
            provenance=self._provenance,
            batch=self._batch,
            scores=self._scores,
            forms=self._forms,
            form_of=self._form_of,
            stop=self._stop,
        )
        self._warnings.extend(judge.judge(amd))

    @contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        """Time a stage, and stop before it if nobody waits any more."""
        if self._stop():
            raise WorkerStoppedError("stopped by the caller")
        begin = time.perf_counter()
        yield
        self._stats.seconds[name] = self._stats.seconds.get(name, 0.0) + time.perf_counter() - begin
