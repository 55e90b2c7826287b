"""One batch on its way through the oracle.

Each stage sees the structures that the stages before it let through, and gives the others a typed status. A
crystal is measured in its primitive cell on a reduced basis: all its descriptions get one score, and the
smallest is the cheapest.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from oracle_svc.amd import amd_vectors
from oracle_svc.canonical import CanonicalForm, canonical_form, same_crystal
from oracle_svc.charge import charge_neutral
from oracle_svc.comparison import content_name, fill_novelty, fill_uniqueness, matched_pairs
from oracle_svc.diversity import FeatureSpace, composition_vectors, contributions
from oracle_svc.neighbors import SearchTooLargeError
from oracle_svc.pool import WorkerStoppedError
from oracle_svc.results import Component, Outcome, Provenance, Score, ScoredBatch, ScoreOptions, Stats
from oracle_svc.scoring import AMD_KIND
from oracle_svc.status import Status
from oracle_svc.store import Kind, Record
from oracle_svc.validity import check_validity
from xenolith.crystal import CrystalBatch

if TYPE_CHECKING:
    from oracle_svc.scoring import Scorer

__all__ = ["BatchRun"]

_NEEDS_ENERGY = frozenset({Component.STABILITY, Component.STRUCTURE_DIVERSITY})
_NEEDS_AMD = frozenset({Component.NOVELTY, Component.UNIQUENESS})
_AMD_PORTION = 32
_OK = Outcome(status=Status.OK)
_SKIPPED = Outcome(status=Status.SKIPPED, message="it failed the validity gate")


class BatchRun:
    """Scores one batch, once."""

    def __init__(
        self,
        scorer: Scorer,
        batch: CrystalBatch,
        options: ScoreOptions,
        provenance: Provenance,
        stop: Callable[[], bool],
        refused: Mapping[int, Outcome],
    ) -> None:
        self._scorer = scorer
        self._batch = batch
        self._options = options
        self._provenance = provenance
        self._stop = stop
        self._refused = refused
        self._stats = Stats()
        self._warnings: list[str] = []
        self._scores = [Score() for _ in range(len(batch))]
        self._forms: list[CanonicalForm] = []
        """Distinct crystals of the batch."""
        self._form_of: dict[int, int] = {}
        """Distinct crystal of each structure that passed the gate."""
        self._records: dict[str, list[Record | None]] = {}
        self._cached: dict[str, set[int]] = {}
        self._failures: dict[int, Outcome] = {}
        """Why a distinct crystal has no energy."""

    def run(self) -> ScoredBatch:
        """Go through all stages that the components asked for need."""
        with self._stage("validity"):
            self._gate()
        with self._stage("canonical"):
            self._identify()
        self._measure()
        with self._stage("hull"):
            self._place()
        with self._stage("comparison"):
            self._compare()
        with self._stage("diversity"):
            self._spread()
        outage = self._scorer.store.cache.outage if self._options.use_cache else None
        return ScoredBatch(
            scores=tuple(self._scores),
            provenance=self._provenance,
            stats=self._stats,
            warnings=(*self._warnings, *([outage] if outage else [])),
        )

    def _gate(self) -> None:
        report = check_validity(self._batch, self._scorer.limits, self._scorer.calculators.identity.elements)
        for index, score in enumerate(self._scores):
            measured = Outcome(status=report.statuses[index], message=report.messages[index])
            outcome = self._refused.get(index, measured)
            score.valid = outcome.status is Status.OK
            score.outcomes[Component.VALIDITY] = outcome
            score.min_distance = _finite(report.min_distance[index])
            score.density = _finite(report.density[index])
            score.volume_per_atom = _finite(report.volume_per_atom[index])
            if outcome.status is not Status.TOO_LARGE:
                score.formula = self._batch[index].formula
            if score.valid:
                score.charge_neutral = charge_neutral(self._batch[index].numbers)

    def _identify(self) -> None:
        """Find out which structures are one and the same crystal."""
        seen: dict[str, list[int]] = {}
        for index, score in enumerate(self._scores):
            if not score.valid:
                continue
            try:
                form = canonical_form(self._batch[index])
            except SearchTooLargeError as error:
                score.valid = False
                score.outcomes[Component.VALIDITY] = Outcome(status=Status.BAD_CELL, message=str(error))
                continue
            candidates = dict.fromkeys(row for address in form.addresses for row in seen.get(address, ()))
            twin = next((row for row in candidates if same_crystal(self._forms[row], form)), None)
            if twin is None:
                twin = len(self._forms)
                self._forms.append(form)
                for address in form.addresses:
                    seen.setdefault(address, []).append(twin)
            self._form_of[index] = twin
        skipped = self._options.components - {Component.VALIDITY}
        for score in self._scores:
            if not score.valid:
                score.outcomes.update(dict.fromkeys(skipped, _SKIPPED))

    def _measure(self) -> None:
        """Get the measurements that belong to a crystal alone: from the cache, else by computing them."""
        kinds: list[tuple[Kind, Callable[[list[int]], Iterator[Mapping[int, Record]]]]] = []
        asked = self._options.components
        if asked & _NEEDS_ENERGY or self._options.return_embeddings:
            kinds.append((self._scorer.energy_kind, self._compute_energies))
        if asked & _NEEDS_AMD or self._options.return_amd:
            kinds.append((AMD_KIND, self._compute_amd))
        with self._stage("cache"):
            self._look_up([kind for kind, _ in kinds])
        for kind, compute in kinds:
            with self._stage(kind.component):
                self._complete(kind, compute)

    def _look_up(self, kinds: list[Kind]) -> None:
        if self._options.use_cache:
            self._records = self._scorer.store.fetch(kinds, self._forms)
        else:
            self._records = {kind.component: [None] * len(self._forms) for kind in kinds}
        for kind in kinds:
            found = {row for row, record in enumerate(self._records[kind.component]) if record is not None}
            self._cached[kind.component] = found

    def _complete(self, kind: Kind, compute: Callable[[list[int]], Iterator[Mapping[int, Record]]]) -> None:
        records = self._records[kind.component]
        missing = [row for row, record in enumerate(records) if record is None]
        if self._options.use_cache:
            self._cached[kind.component] |= self._scorer.store.complete(
                kind, self._forms, records, compute, self._stop
            )
        else:
            for portion in compute(missing):
                for row, record in portion.items():
                    records[row] = record
        hits = len(self._cached[kind.component])
        self._stats.cache_hits += hits
        self._stats.cache_misses += len(records) - hits

    def _compute_energies(self, rows: list[int]) -> Iterator[Mapping[int, Record]]:
        batch = CrystalBatch.from_crystals(self._forms[row].crystal for row in rows)
        self._stats.calculator_calls += len(rows)
        portions = self._scorer.calculators.portions(
            batch, stop=self._stop, structure_limit_s=self._options.structure_limit_s
        )
        for positions, evaluation in portions:
            done: dict[int, Record] = {}
            for place, position in enumerate(positions):
                row = rows[position]
                if evaluation.statuses[place] is not Status.OK:
                    self._failures[row] = Outcome(
                        status=evaluation.statuses[place], message=evaluation.messages[place]
                    )
                    continue
                done[row] = {"energy_per_atom": float(evaluation.energy_per_atom[place])}
                if evaluation.embeddings is not None:
                    done[row]["embedding"] = evaluation.embeddings[place]
            yield done

    def _compute_amd(self, rows: list[int]) -> Iterator[Mapping[int, Record]]:
        for start in range(0, len(rows), _AMD_PORTION):
            if self._stop():
                raise WorkerStoppedError("stopped by the caller")
            part = rows[start : start + _AMD_PORTION]
            measured = amd_vectors(CrystalBatch.from_crystals(self._forms[row].crystal for row in part))
            yield {
                row: {"amd": vector}
                for row, vector, status in zip(part, measured.vectors, measured.statuses, strict=True)
                if status is Status.OK
            }

    def _place(self) -> None:
        """Set energies, and where they lie relative to the hull."""
        if "energy" not in self._records:
            return
        background = self._scorer.background
        for index, row in self._form_of.items():
            score, record = self._scores[index], self._records["energy"][row]
            if record is None:
                failure = self._failures.get(
                    row, Outcome(status=Status.CALCULATOR_FAILED, message="no energy came back")
                )
                score.outcomes.update(dict.fromkeys(self._options.components & _NEEDS_ENERGY, failure))
                continue
            if self._options.return_embeddings:
                score.embedding = record.get("embedding")
            if Component.STABILITY not in self._options.components:
                continue
            score.energy_per_atom = record["energy_per_atom"]
            outcome = Outcome(status=Status.OK, cached=row in self._cached["energy"])
            hull = background.hull if background else None
            if hull is None:
                outcome = Outcome(
                    status=Status.NO_REFERENCE, message="this oracle has no hull; start it with --reference"
                )
            else:
                result = hull.evaluate(self._batch.take([index]), np.array([score.energy_per_atom]))
                if result.statuses[0] is Status.OK:
                    score.e_above_hull = float(result.e_above_hull[0])
                    score.formation_energy_per_atom = float(result.formation_energy_per_atom[0])
                else:
                    outcome = Outcome(status=result.statuses[0], message=result.messages[0])
            score.outcomes[Component.STABILITY] = outcome

    def _compare(self) -> None:
        if "amd" not in self._records:
            return
        amd: dict[int, np.ndarray] = {}
        for index, row in self._form_of.items():
            record = self._records["amd"][row]
            asked = self._options.components & _NEEDS_AMD
            if record is None:
                failed = Outcome(status=Status.BAD_CELL, message="its neighbours are too far apart for AMD")
                self._scores[index].outcomes.update(dict.fromkeys(asked, failed))
                continue
            amd[index] = record["amd"]
            self._scores[index].outcomes.update(
                dict.fromkeys(asked, Outcome(status=Status.OK, cached=row in self._cached["amd"]))
            )
            if self._options.return_amd:
                self._scores[index].amd = record["amd"]
        if Component.NOVELTY in self._options.components:
            self._judge_novelty(amd)
        if Component.UNIQUENESS in self._options.components:
            self._judge_uniqueness(amd)

    def _judge_novelty(self, amd: Mapping[int, np.ndarray]) -> None:
        known = [self._scorer.background.known] if self._scorer.background else []
        if self._options.known is not None:
            crystals, warnings = self._scorer.known(self._options.known)
            known.append(crystals)
            self._warnings.extend(warnings)
        for index, vector in amd.items():
            fill_novelty(self._scores[index], vector, known, self._provenance.amd_tolerance)

    def _judge_uniqueness(self, amd: Mapping[int, np.ndarray]) -> None:
        crystals = {index: self._batch[index] for index in amd}
        same = None
        if self._options.matcher is not None:
            formulas = {index: self._scores[index].formula for index in amd}
            primitive = {index: self._forms[self._form_of[index]].crystal for index in amd}
            same, undecided = matched_pairs(
                primitive, formulas, self._scorer.matcher, self._options.matcher, self._stop
            )
            for index, outcome in undecided.items():
                self._scores[index].outcomes[Component.UNIQUENESS] = outcome
        names = {
            index: content_name(self._forms[self._form_of[index]].key, crystal)
            for index, crystal in crystals.items()
        }
        scores = {index: self._scores[index] for index in amd}
        fill_uniqueness(scores, amd, names, self._provenance.amd_tolerance, same=same)

    def _spread(self) -> None:
        background = self._scorer.background
        if background is None:
            return
        if Component.COMPOSITION_DIVERSITY in self._options.components:
            indices = list(self._form_of)
            vectors = composition_vectors([self._batch[index].numbers for index in indices])
            for index, value in zip(indices, _diversity(background.composition_space, vectors), strict=True):
                self._scores[index].composition_diversity = _finite(value)
                self._scores[index].outcomes[Component.COMPOSITION_DIVERSITY] = _OK
        if (
            Component.STRUCTURE_DIVERSITY in self._options.components
            and background.structure_space is not None
        ):
            records = {index: self._records["energy"][row] for index, row in self._form_of.items()}
            embeddings = {
                index: record["embedding"] for index, record in records.items() if record is not None
            }
            values = _diversity(background.structure_space, np.array(list(embeddings.values())))
            for index, value in zip(embeddings, values, strict=True):
                self._scores[index].structure_diversity = _finite(value)
                self._scores[index].outcomes[Component.STRUCTURE_DIVERSITY] = _OK

    @contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        """Time a stage, and stop before it if nobody waits any more."""
        if self._stop():
            raise WorkerStoppedError("stopped by the caller")
        begin = time.perf_counter()
        yield
        self._stats.seconds[name] = self._stats.seconds.get(name, 0.0) + time.perf_counter() - begin


def _diversity(space: FeatureSpace, features: np.ndarray) -> np.ndarray:
    if len(features) == 0:
        return np.zeros(0)
    vectors = space.vectors(features)
    return contributions(vectors, space.reference_term(vectors))


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
