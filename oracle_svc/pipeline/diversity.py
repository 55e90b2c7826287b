"""The stage that measures what each structure adds to the diversity of its batch."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product

import numpy as np
from numpy.typing import NDArray

from oracle_svc.known.diversity.contributions import (
    AMD_ORDERS,
    FeatureSpace,
    amd_features,
    composition_vectors,
)
from oracle_svc.pipeline.batch import Batch
from oracle_svc.pipeline.results import Component
from oracle_svc.status import Outcome, Status
from xenolith.diversity import contributions

__all__ = ["measure_diversity"]

_OK = Outcome(status=Status.OK)
_DIVERSITY = frozenset({Component.COMPOSITION_DIVERSITY, Component.STRUCTURE_DIVERSITY})
_NOTHING_KNOWN = Outcome(
    status=Status.NO_REFERENCE,
    message="there are no known structures to compare with: the reference is a hull alone; start the oracle"
    " with a --reference that has structures",
)


def measure_diversity(batch: Batch) -> None:
    """Set the diversity terms asked for.

    A structure of which nothing was measured takes no part, and the stage that failed has said so.
    """
    resources, reference = batch.resources, batch.reference
    if reference is None:
        return
    if not len(reference):
        for index, component in product(batch.form_of, batch.options.components & _DIVERSITY):
            batch.scores[index].outcomes[component] = _NOTHING_KNOWN
        return
    if Component.COMPOSITION_DIVERSITY in batch.options.components:
        values = _contributions(batch, reference.composition_space, _compositions(batch, batch.form_of))
        for index, value in zip(batch.form_of, values, strict=True):
            batch.scores[index].composition_diversity = value
            batch.scores[index].outcomes[Component.COMPOSITION_DIVERSITY] = _OK
    if Component.STRUCTURE_DIVERSITY in batch.options.components:
        structures = resources.structure_space(reference)
        if structures is None:
            return
        by_embedding = resources.compares_embeddings(reference)
        indices, features = _embeddings(batch) if by_embedding else _amd(batch)
        for index, value in zip(indices, _contributions(batch, structures, features), strict=True):
            batch.scores[index].structure_diversity = value
            batch.scores[index].outcomes[Component.STRUCTURE_DIVERSITY] = _OK


def _compositions(batch: Batch, indices: Iterable[int]) -> NDArray[np.float32]:
    return composition_vectors([batch.structures[index].numbers for index in indices])


def _embeddings(batch: Batch) -> tuple[list[int], NDArray[np.float32]]:
    """Structures with an embedding, and (n, D) their embeddings."""
    found = {i: record for i, row in batch.form_of.items() if (record := batch.energies.get(row)) is not None}
    return list(found), np.array([record["embedding"] for record in found.values()])


def _amd(batch: Batch) -> tuple[list[int], NDArray[np.floating]]:
    """Structures with an AMD vector, and (n, D) features of these and of compositions."""
    found = {i: record for i, row in batch.form_of.items() if (record := batch.amd.get(row)) is not None}
    if not found:
        return [], np.zeros((0, 0))
    amd = np.array([record["amd"] for record in found.values()])[:, np.array(AMD_ORDERS) - 1]
    return list(found), np.hstack([amd_features(amd), _compositions(batch, found)])


def _contributions(batch: Batch, space: FeatureSpace, features: NDArray[np.floating]) -> list[float | None]:
    if len(features) < 2 or batch.separate:
        return [None] * len(features)  # nothing to be unlike
    vectors = space.vectors(features)
    values = contributions(vectors, space.reference_term(vectors))
    return [float(value) if np.isfinite(value) else None for value in values]
