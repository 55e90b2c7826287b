"""The stage that predicts properties."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from oracle_svc.cache.store import Kind, Record
from oracle_svc.pipeline.batch import Batch
from oracle_svc.pipeline.results import Component
from oracle_svc.properties.host import PropertyInfo, Value
from oracle_svc.status import Outcome, Status

__all__ = ["predict_properties"]

_OK = Outcome(status=Status.OK)


def predict_properties(batch: Batch) -> None:
    """Set the properties asked for; one that fails costs a structure that value alone."""
    if Component.PROPERTIES not in batch.options.components:
        return
    for index in batch.form_of:
        batch.scores[index].outcomes[Component.PROPERTIES] = _OK
    for info in batch.resources.properties.chosen(batch.options.properties):
        values = _values(batch, info)
        for index, row in batch.form_of.items():
            score, value = batch.scores[index], values[row]
            if not isinstance(value, Outcome):
                score.properties[info.name] = value
            elif score.outcomes[Component.PROPERTIES].status is Status.OK:
                score.outcomes[Component.PROPERTIES] = value


def _values(batch: Batch, info: PropertyInfo) -> dict[int, Value]:
    """Value, or why there is none, of every distinct crystal."""
    shelf = batch.resources.properties
    rows = list(range(len(batch.forms)))
    values: dict[int, Value] = {}
    if info.embeddings_of:
        values = {row: batch.no_energy(row) for row in rows if batch.energies.get(row) is None}
        rows = [row for row in rows if row not in values]

    def predict(some: list[int]) -> Iterator[Mapping[int, Record]]:
        """Predict; outcomes are noted, numbers are also yielded to be kept."""
        if not some:
            return
        embeddings = None
        if info.embeddings_of:
            embeddings = np.array([batch.energies.found[row]["embedding"] for row in some])
        for portion in shelf.portions(info.name, batch.crystals(some), embeddings, batch.stop):
            found = {some[place]: value for place, value in portion.items()}
            values.update(found)
            yield {row: {"value": value} for row, value in found.items() if not isinstance(value, Outcome)}

    if shelf.is_kept(info.name) and batch.options.use_cache:
        kind = Kind(component=f"property.{info.name}", digest=info.digest)
        kept = batch.obtain(kind, predict, rows=rows)
        values.update({row: float(record["value"]) for row, record in kept.found.items()})
    else:
        for _ in predict(rows):
            pass
    return values
