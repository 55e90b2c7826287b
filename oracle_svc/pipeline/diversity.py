"""The diversity terms of a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from oracle_svc.known.diversity.contributions import (
    AMD_ORDERS,
    FeatureSpace,
    amd_features,
    composition_vectors,
    contributions,
)
from oracle_svc.pipeline.measurements import Measurements
from oracle_svc.pipeline.resources import Instruments
from oracle_svc.pipeline.results import Component, Score, ScoreOptions
from oracle_svc.status import Outcome, Status
from xenolith.crystal import CrystalBatch

__all__ = ["fill_diversity"]

_OK = Outcome(status=Status.OK)


def fill_diversity(
    instruments: Instruments,
    options: ScoreOptions,
    batch: CrystalBatch,
    scores: Sequence[Score],
    form_of: Mapping[int, int],
    measured: Measurements,
) -> None:
    """Set the diversity terms that were asked for.

    Parameters
    ----------
    form_of
        Distinct crystal of each structure that passed the validity gate.
    measured
        What was measured of the distinct crystals; a structure without it takes no part, and the stage that
        failed has said so.
    """
    if instruments.background is None:
        return
    if Component.COMPOSITION_DIVERSITY in options.components:
        vectors = composition_vectors([batch[index].numbers for index in form_of])
        values = _contributions(instruments.background.composition_space, vectors)
        for index, value in zip(form_of, values, strict=True):
            scores[index].composition_diversity = value
            scores[index].outcomes[Component.COMPOSITION_DIVERSITY] = _OK
    space = instruments.structure_space()
    if Component.STRUCTURE_DIVERSITY in options.components and space is not None:
        by_embedding = instruments.spread_by_embedding
        indices, features = (
            _by_embedding(form_of, measured) if by_embedding else _by_amd(batch, form_of, measured)
        )
        for index, value in zip(indices, _contributions(space, features), strict=True):
            scores[index].structure_diversity = value
            scores[index].outcomes[Component.STRUCTURE_DIVERSITY] = _OK


def _by_embedding(form_of: Mapping[int, int], measured: Measurements) -> tuple[list[int], np.ndarray]:
    found = {
        index: record for index, row in form_of.items() if (record := measured.energies[row]) is not None
    }
    return list(found), np.array([record["embedding"] for record in found.values()])


def _by_amd(
    batch: CrystalBatch, form_of: Mapping[int, int], measured: Measurements
) -> tuple[list[int], np.ndarray]:
    found = {index: record for index, row in form_of.items() if (record := measured.amd[row]) is not None}
    if not found:
        return [], np.zeros((0, 0))
    amd = np.array([record["amd"] for record in found.values()])[:, np.array(AMD_ORDERS) - 1]
    compositions = composition_vectors([batch[index].numbers for index in found])
    return list(found), np.hstack([amd_features(amd), compositions])


def _contributions(space: FeatureSpace, features: np.ndarray) -> list[float | None]:
    if len(features) == 0:
        return []
    vectors = space.vectors(features)
    values = contributions(vectors, space.reference_term(vectors))
    return [float(value) if np.isfinite(value) else None for value in values]
