"""Novelty, uniqueness and their graded forms for one batch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from oracle_svc.crystals.canonical import CanonicalForm
from oracle_svc.crystals.elements import element_name
from oracle_svc.crystals.elmd import cumulative, positions_of
from oracle_svc.known.novelty.continuous import graded_uniqueness
from oracle_svc.known.novelty.sameness import KnownCrystals
from oracle_svc.pipeline.comparison import (
    content_name,
    fill_novelty,
    fill_uniqueness,
    matched_known,
    matched_pairs,
)
from oracle_svc.pipeline.resources import Instruments
from oracle_svc.pipeline.results import Component, Provenance, Score, ScoreOptions
from oracle_svc.status import Outcome, Status
from xenolith.crystal import CrystalBatch

__all__ = ["Judge"]


@dataclass(frozen=True, kw_only=True)
class Judge:
    """Compares the structures of a batch that have an AMD vector."""

    instruments: Instruments
    options: ScoreOptions
    provenance: Provenance
    batch: CrystalBatch
    scores: Sequence[Score]
    forms: Sequence[CanonicalForm]
    form_of: Mapping[int, int]
    stop: Callable[[], bool]

    def judge(self, amd: Mapping[int, np.ndarray]) -> tuple[str, ...]:
        """Set what was asked for; return warnings.

        Parameters
        ----------
        amd
            (k,) AMD vectors by index in the batch, Angstrom.
        """
        asked = self.options.components
        known, warnings = self._known() if asked & {Component.NOVELTY, Component.CONTINUOUS} else ([], ())
        totals = {index: cumulative(self.batch[index].numbers) for index in amd}
        if Component.NOVELTY in asked:
            self._novelty(amd, totals, known)
        if Component.UNIQUENESS in asked:
            self._uniqueness(amd)
        if Component.CONTINUOUS in asked:
            self._graded(amd, totals, known)
        return warnings

    def _known(self) -> tuple[list[KnownCrystals], tuple[str, ...]]:
        """Everything that is known, and warnings about the caller's part of it."""
        known: list[KnownCrystals] = (
            [self.instruments.background.known] if self.instruments.background else []
        )
        if self.options.known is None:
            return known, ()
        crystals, warnings = self.instruments.known(self.options.known)
        return [*known, crystals], warnings

    def _novelty(
        self,
        amd: Mapping[int, np.ndarray],
        totals: Mapping[int, np.ndarray | None],
        known: list[KnownCrystals],
    ) -> None:
        distances: dict[str, float | None] = {}
        for index, vector in amd.items():
            score, total = self.scores[index], totals[index]
            fill_novelty(score, vector, known, self.provenance.amd_tolerance)
            if total is None:
                continue
            if score.formula not in distances:
                apart = [crystals.index.composition_distance(total) for crystals in known]
                distances[score.formula] = min((d for d in apart if d is not None), default=None)
            score.elmd_distance = distances[score.formula]
        if self.options.matcher is None:
            return
        primitive = {index: self.forms[self.form_of[index]].crystal for index in amd}
        formulas = {index: self.scores[index].formula for index in amd}
        matched, undecided = matched_known(
            primitive, formulas, amd, known, self.instruments.matcher, self.options.matcher, self.stop
        )
        for index in amd:
            self.scores[index].novel = index not in matched
        self._cannot_tell(Component.NOVELTY, undecided)

    def _uniqueness(self, amd: Mapping[int, np.ndarray]) -> None:
        same: list[tuple[int, int]] | None = None
        undecided: dict[int, Outcome] = {}
        if self.options.matcher is not None:
            formulas = {index: self.scores[index].formula for index in amd}
            primitive = {index: self.forms[self.form_of[index]].crystal for index in amd}
            same, undecided = matched_pairs(
                primitive, formulas, self.instruments.matcher, self.options.matcher, self.stop
            )
        # Whoever has a formula to itself needs no name to be told apart from others.
        shared = Counter(self.scores[index].formula for index in amd)
        names = {
            index: content_name(self.forms[self.form_of[index]].key, self.batch[index])
            for index in amd
            if shared[self.scores[index].formula] > 1
        }
        scores = {index: self.scores[index] for index in amd}
        fill_uniqueness(scores, amd, names, self.provenance.amd_tolerance, same=same)
        self._cannot_tell(Component.UNIQUENESS, undecided)

    def _graded(
        self,
        amd: Mapping[int, np.ndarray],
        totals: Mapping[int, np.ndarray | None],
        known: list[KnownCrystals],
    ) -> None:
        placed = {index: total for index, total in totals.items() if total is not None}
        for index, value in graded_uniqueness(placed, amd, len(self.batch)).items():
            self.scores[index].continuous_uniqueness = value
        for index, total in placed.items():
            if self.stop():
                return  # the stage after this one says so
            apart = [crystals.index.graded_distance(total, amd[index]) for crystals in known]
            self.scores[index].continuous_novelty = min((d for d in apart if d is not None), default=None)
        self._cannot_tell(
            Component.CONTINUOUS,
            {index: self._off_scale(index) for index, total in totals.items() if total is None},
        )

    def _off_scale(self, index: int) -> Outcome:
        numbers = np.unique(self.batch[index].numbers)
        names = ", ".join(element_name(int(z)) for z in numbers[positions_of(numbers) < 0])
        return Outcome(
            status=Status.UNSUPPORTED_ELEMENT, message=f"{names} has no place on the modified Pettifor scale"
        )

    def _cannot_tell(self, component: Component, undecided: Mapping[int, Outcome]) -> None:
        for index, outcome in undecided.items():
            score = self.scores[index]
            score.outcomes[component] = outcome
            if component is Component.NOVELTY:
                score.novel = None
            elif component is Component.UNIQUENESS:
                score.unique = score.duplicate_of = None
