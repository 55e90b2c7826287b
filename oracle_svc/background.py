"""Everything that crystals are measured against: what is known, the hull, and the spaces of diversity."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np

from oracle_svc.amd import DEFAULT_K
from oracle_svc.calculators.base import digest_of
from oracle_svc.diversity import AMD_ORDERS, FeatureSpace, amd_features
from oracle_svc.hull import Hull
from oracle_svc.novelty import KnownCrystals
from oracle_svc.reference import BadReferenceError, Reference  # ours, not the built-in

__all__ = ["Background"]


@dataclass(frozen=True, kw_only=True)
class Background:
    """A reference, ready for use. Parts that it lacks are None."""

    id: str
    """Name and digest of the reference."""
    digest: str
    """SHA-256 (hex) of its manifest, which names the digests of its data."""
    licence: str
    """Licence and attribution of the data."""
    size: int
    """Known structures."""
    known: KnownCrystals
    amd_tolerance: float
    """Calibrated AMD distance of the same crystal, Angstrom."""
    composition_space: FeatureSpace
    structure_space: FeatureSpace | None
    """Of the embeddings of the calculator below."""
    amd_space: Callable[[], FeatureSpace]
    """Of AMD and composition, for oracles whose calculator has no such embeddings; made when first asked
    for."""
    hull: Hull | None
    hull_id: str
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
        if reference.amd_k != DEFAULT_K:
            raise BadReferenceError(
                f"{reference.path} has AMD vectors of {reference.amd_k} entries, this version compares "
                f"{DEFAULT_K}: build the reference again"
            )
        reference.rows("")
        embeddings = reference.embeddings
        compositions = np.sqrt(reference.compositions[:, 1:])

        @cache
        def amd_space() -> FeatureSpace:
            return FeatureSpace.from_amd(amd_features(reference.amd_entries(AMD_ORDERS)), compositions)

        name = f"embedding:{reference.calculator_id}"
        return cls(
            id=reference.id,
            digest=digest_of(reference.info),
            licence=reference.licence,
            size=len(reference),
            known=reference,
            amd_tolerance=reference.amd_tolerance,
            composition_space=FeatureSpace.from_compositions(compositions),
            structure_space=(
                FeatureSpace.from_embeddings(embeddings, name=name) if embeddings.shape[1] else None
            ),
            amd_space=amd_space,
            hull=reference.hull,
            hull_id=reference.hull_id,
            calculator_digest=reference.calculator_digest,
            calculator_id=reference.calculator_id,
        )
