"""Everything that crystals are measured against: what is known, the hull, and the spaces of diversity."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from oracle_svc.calculators.base import digest_of
from oracle_svc.crystals.amd import DEFAULT_K
from oracle_svc.known.diversity.contributions import AMD_ORDERS, FeatureSpace, amd_features
from oracle_svc.known.hull import Hull
from oracle_svc.known.reference.folder import BadReferenceError, Reference  # ours, not the built-in

__all__ = ["Background"]


@dataclass(frozen=True, kw_only=True)
class Background:
    """A reference, ready for use. Parts that it lacks are None.

    What novelty and stability need is there from the start; the spaces of diversity are made when first
    asked for, since those of a million structures take memory.
    """

    id: str
    """Name and digest of the reference."""
    digest: str
    """SHA-256 (hex) of its manifest, which names the digests of its data."""
    licence: str
    """Licence and attribution of the data."""
    size: int
    """Known structures."""
    known: Reference
    amd_tolerance: float
    """Calibrated AMD distance of the same crystal, Angstrom."""
    hull: Hull | None
    hull_id: str
    hull_scheme: str
    """Declared energy scheme of the hull."""
    hull_is_declared: bool
    """Whether the hull serves every calculator of its scheme, not only the one that made it."""
    calculator_digest: str
    """`settings_digest` of the calculator whose energies made the hull and whose embeddings span the
    space."""
    calculator_id: str

    @classmethod
    def from_reference(cls, reference: Reference) -> Background:
        """Prepare a reference: the first request is not to pay for what all requests need.

        Raises
        ------
        BadReferenceError
            Its AMD vectors have another length than this oracle's.
        """
        if len(reference) and reference.amd_k != DEFAULT_K:
            raise BadReferenceError(
                f"{reference.path} has AMD vectors of {reference.amd_k} entries, this version compares "
                f"{DEFAULT_K}: build the reference again"
            )
        len(reference.index.compositions)
        return cls(
            id=reference.id,
            digest=digest_of(reference.info),
            licence=reference.licence,
            size=len(reference),
            known=reference,
            amd_tolerance=reference.amd_tolerance,
            hull=reference.hull,
            hull_id=reference.hull_id,
            hull_scheme=reference.hull_scheme,
            hull_is_declared=reference.hull_is_declared,
            calculator_digest=reference.calculator_digest,
            calculator_id=reference.calculator_id,
        )

    @property
    def has_embeddings(self) -> bool:
        """Whether it holds embeddings of its calculator."""
        return "embedding" in self.known.info

    @cached_property
    def composition_space(self) -> FeatureSpace:
        """Of compositions."""
        return FeatureSpace.from_compositions(self._compositions())

    @cached_property
    def structure_space(self) -> FeatureSpace | None:
        """Of the embeddings of the calculator, if there are any."""
        embeddings = self.known.embeddings
        if not embeddings.shape[1]:
            return None
        return FeatureSpace.from_embeddings(embeddings, name=f"embedding:{self.calculator_id}")

    def amd_space(self) -> FeatureSpace:
        """Of AMD and composition, for oracles whose calculator has no such embeddings."""
        return self._amd_space

    @cached_property
    def _amd_space(self) -> FeatureSpace:
        return FeatureSpace.from_amd(amd_features(self.known.amd_entries(AMD_ORDERS)), self._compositions())

    def _compositions(self) -> np.ndarray:
        return np.sqrt(self.known.compositions[:, 1:])
