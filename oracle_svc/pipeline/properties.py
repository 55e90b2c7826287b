"""The properties of a batch on its way through the oracle."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from oracle_svc.cache.store import Kind, Record
from oracle_svc.crystals.canonical import CanonicalForm
from oracle_svc.pipeline.measurements import Measurements
from oracle_svc.pipeline.resources import Instruments
from oracle_svc.pipeline.results import Component, Score, ScoreOptions, Stats
from oracle_svc.properties.host import PropertyInfo, Value
from oracle_svc.status import Outcome, Status
from xenolith.crystal import CrystalBatch

__all__ = ["fill_properties"]

_OK = Outcome(status=Status.OK)


def fill_properties(
    instruments: Instruments,
    options: ScoreOptions,
    scores: Sequence[Score],
    forms: Sequence[CanonicalForm],
    form_of: Mapping[int, int],
    measured: Measurements,
    stats: Stats,
    stop: Callable[[], bool],
) -> None:
    """Set the properties that were asked for; a property that fails costs a structure that value alone.

    Parameters
    ----------
    forms
        Distinct crystals.
    form_of
        Distinct crystal of each structure that passed the validity gate.
    """
    if Component.PROPERTIES not in options.components:
        return
    for index in form_of:
        scores[index].outcomes[Component.PROPERTIES] = _OK
    for info in instruments.properties.chosen(options.properties):
        stage = _Stage(instruments, options, forms, measured, info, stats, stop)
        values = stage.values()
        for index, row in form_of.items():
            score, value = scores[index], values[row]
            if not isinstance(value, Outcome):
                score.properties[info.name] = value
            elif score.outcomes[Component.PROPERTIES].status is Status.OK:
                score.outcomes[Component.PROPERTIES] = value


class _Stage:
    """One property of the distinct crystals of a batch."""

    def __init__(
        self,
        instruments: Instruments,
        options: ScoreOptions,
        forms: Sequence[CanonicalForm],
        measured: Measurements,
        info: PropertyInfo,
        stats: Stats,
        stop: Callable[[], bool],
    ) -> None:
        self._instruments, self._options, self._info = instruments, options, info
        self._forms, self._stats, self._stop = forms, stats, stop
        self._values: dict[int, Value] = {}
        self._embeddings: dict[int, np.ndarray] = {}
        if info.embeddings_of:
            for row in range(len(forms)):
                record = measured.energies[row]
                if record is None:
                    self._values[row] = measured.failure(row)
                else:
                    self._embeddings[row] = record["embedding"]

    def values(self) -> dict[int, Value]:
        """Value or outcome of every distinct crystal."""
        rows = [row for row in range(len(self._forms)) if row not in self._values]
        if self._instruments.properties.is_kept(self._info.name) and self._options.use_cache:
            self._kept(rows)
        else:
            for _ in self._compute(rows):
                pass
        return self._values

    def _kept(self, rows: list[int]) -> None:
        """Take what the cache has, and put there what it does not."""
        kind = Kind(component=f"property.{self._info.name}", digest=self._info.digest)
        forms = [self._forms[row] for row in rows]
        store = self._instruments.store
        records = store.fetch([kind], forms)[kind.component]
        before = sum(record is not None for record in records)

        def compute(places: list[int]) -> Iterator[Mapping[int, Record]]:
            back = {rows[place]: place for place in places}
            for portion in self._compute([rows[place] for place in places]):
                yield {back[row]: {"value": value} for row, value in portion.items()}

        arrived = store.complete(kind, forms, records, compute, self._stop)
        for row, record in zip(rows, records, strict=True):
            if record is not None:
                self._values[row] = float(record["value"])
        hits = before + len(arrived)
        self._stats.cache_hits += hits
        self._stats.cache_misses += len(rows) - hits

    def _compute(self, rows: list[int]) -> Iterator[dict[int, float]]:
        """Predict; outcomes are noted, numbers are also yielded to be kept."""
        if not rows:
            return
        batch = CrystalBatch.from_crystals(self._forms[row].crystal for row in rows)
        embeddings = np.array([self._embeddings[row] for row in rows]) if self._info.embeddings_of else None
        portions = self._instruments.properties.portions(self._info.name, batch, embeddings, self._stop)
        for portion in portions:
            found = {rows[place]: value for place, value in portion.items()}
            self._values.update(found)
            yield {row: value for row, value in found.items() if not isinstance(value, Outcome)}
