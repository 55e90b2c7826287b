"""The spaces in which diversity is measured against a reference."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from oracle_svc.known.diversity.contributions import AMD_ORDERS, FeatureSpace, amd_features
from oracle_svc.known.reference.folder import Reference

__all__ = ["DiversitySpaces"]


class DiversitySpaces:
    """The feature spaces of one reference.

    Each is made when it is first asked for, since those of a million structures take memory.
    """

    def __init__(self, reference: Reference) -> None:
        self._reference = reference

    @cached_property
    def compositions(self) -> FeatureSpace:
        """Of compositions."""
        return FeatureSpace.from_compositions(self._fractions())

    @cached_property
    def embeddings(self) -> FeatureSpace | None:
        """Of the embeddings of the reference's calculator; None where there are none."""
        embeddings = self._reference.embeddings
        if not embeddings.shape[1]:
            return None
        return FeatureSpace.from_embeddings(embeddings, name=f"embedding:{self._reference.calculator_id}")

    @cached_property
    def amd(self) -> FeatureSpace:
        """Of AMD and composition, for oracles whose calculator has no such embeddings."""
        features = amd_features(self._reference.amd_entries(AMD_ORDERS))
        return FeatureSpace.from_amd(features, self._fractions())

    def _fractions(self) -> np.ndarray:
        return np.sqrt(self._reference.compositions[:, 1:])
