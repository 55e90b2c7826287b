"""The stage that places energies relative to the hull, and the placing itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from oracle_svc.known.hull import Hull, Phase
from oracle_svc.pipeline.batch import Batch
from oracle_svc.pipeline.results import Component
from oracle_svc.status import Outcome, Status
from xenolith.crystal import CrystalBatch

__all__ = ["HullPlace", "place_on_hull", "places_on"]


@dataclass(frozen=True, kw_only=True)
class HullPlace:
    """Place of one structure relative to a hull."""

    status: Status
    message: str
    e_above_hull: float | None = None
    """eV/atom; None unless OK."""
    formation_energy_per_atom: float | None = None
    """eV/atom; None unless OK."""
    decomposition: tuple[Phase, ...] = ()
    """The most stable mixture of the hull's phases."""


def places_on(hull: Hull, structures: CrystalBatch, energies: Mapping[int, float]) -> dict[int, HullPlace]:
    """Return where structures lie relative to a hull.

    Parameters
    ----------
    energies
        eV/atom on the hull's scheme, by index among the structures; the others are not placed.
    """
    result = hull.evaluate(structures.take(list(energies)), np.array(list(energies.values())))
    places = {}
    for position, index in enumerate(energies):
        status, message = result.statuses[position], result.messages[position]
        if status is not Status.OK:
            places[index] = HullPlace(status=status, message=message)
            continue
        places[index] = HullPlace(
            status=status,
            message=message,
            e_above_hull=float(result.e_above_hull[position]),
            formation_energy_per_atom=float(result.formation_energy_per_atom[position]),
            decomposition=result.decompositions[position],
        )
    return places


def place_on_hull(batch: Batch) -> None:
    """Set energies of the structures as given, and where they lie relative to the reference's hull."""
    if not batch.wants_energy:
        return
    energies: dict[int, float] = {}
    needed = batch.need_energy
    for index, row in batch.form_of.items():
        score, record = batch.scores[index], batch.energies.get(row)
        if record is None:
            score.outcomes.update(dict.fromkeys(needed, batch.no_energy(row)))
            continue
        if batch.options.return_embeddings:
            score.embedding = record.get("embedding")
        if Component.STABILITY in batch.options.components:
            score.energy_per_atom = energies[index] = record["energy_per_atom"]
            score.raw_energy_per_atom = record.get("raw_energy_per_atom")
    hull = batch.reference.hull if batch.reference is not None else None
    if hull is None:
        missing = Outcome(
            status=Status.NO_REFERENCE,
            message="this oracle has no hull that serves its calculator; start it with a --hull or"
            " --reference that does",
        )
        for index in energies:
            batch.scores[index].outcomes[Component.STABILITY] = missing
        return
    for index, place in places_on(hull, batch.structures, energies).items():
        score = batch.scores[index]
        score.e_above_hull = place.e_above_hull
        score.formation_energy_per_atom = place.formation_energy_per_atom
        score.decomposition = place.decomposition
        cached = place.status is Status.OK and batch.form_of[index] in batch.energies.cached
        score.outcomes[Component.STABILITY] = Outcome(
            status=place.status, message=place.message, cached=cached
        )
