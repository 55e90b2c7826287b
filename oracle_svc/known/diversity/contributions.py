"""Contribution of each structure of a batch to the batch's diversity.

For a batch B and a reference R the squared maximum mean discrepancy with a kernel k is

    MMD^2(B, R) = mean k(B, B) - 2 mean k(B, R) + mean k(R, R),

small if B is spread as R is. The *contribution* of structure i is what the batch would lose without it:

    contribution_i = MMD^2(B without i, R) - MMD^2(B, R).

**A positive value rewards**: being unlike the other members of the batch, in a place where the reference has
structures; the batch covers the reference less well without this one. **A negative value punishes**: being
one of many alike (each further copy raises mean k(B, B)), or lying far from everything that is known. The
term mean k(R, R) cancels and is never computed. The sum is over all pairs, a structure with itself
included; this makes the value defined from two structures on.

The kernel (`xenolith.diversity`) is polynomial of degree three on unit vectors, ((x.y + 1) / 2)^3, between 0
and 1: no structure can buy an unbounded contribution with an exploding embedding. Since it is a polynomial,
the mean over the reference is one too: three tables of moments (`moments`), made once, replace the reference,
and the cost of a batch does not depend on how much is known.

Structures are compared by the embeddings of the oracle's calculator, or, where that gives none, by AMD and
composition in equal parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from oracle_svc.known.diversity.moments import Moments, moments_of
from xenolith.diversity import unit_rows

__all__ = [
    "AMD_ORDERS",
    "FeatureSpace",
    "amd_features",
    "composition_vectors",
]

_MAX_Z = 118
AMD_ORDERS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 100)
"""Neighbours whose average distance enters `amd_features`: first shells in detail, the bulk in outline."""
_LEAST_DISTANCE = 1e-3  # Angstrom: keeps the logarithm finite


@dataclass(frozen=True, kw_only=True)
class _Block:
    """Columns that are brought to unit length together."""

    columns: slice
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]


class FeatureSpace:
    """Unit vectors of structures, and the mean kernel of a vector with those of the reference.

    Features are centred and scaled by the reference's own mean and standard deviation, column by column,
    before they are brought to unit length; compositions are unit vectors already and stay as they are. Where
    two kinds of features are joined, the product of two vectors is the average of the products of the kinds.
    """

    def __init__(self, name: str, blocks: Sequence[_Block], features: NDArray[np.floating]) -> None:
        self.name = name
        """What is compared, for provenance."""
        self._blocks = tuple(blocks)
        self._rows: NDArray[np.float32] | None = self.vectors(features)
        self._moments: Moments | None = None
        self._lock = Lock()

    @classmethod
    def from_embeddings(cls, embeddings: NDArray[np.floating], *, name: str = "embedding") -> FeatureSpace:
        """Space of a calculator's embeddings, (R, D); rows that are not finite are left out.

        Raises
        ------
        ValueError
            No row is finite.
        """
        rows = np.asarray(embeddings, dtype=np.float32)
        rows = rows[np.isfinite(rows).all(axis=1)]
        if not len(rows):
            raise ValueError("the reference has no embeddings: build it with a calculator that gives some")
        return cls(name, [_standard(rows, 0)], rows)

    @classmethod
    def from_compositions(cls, vectors: NDArray[np.floating]) -> FeatureSpace:
        """Space of `composition_vectors`, (R, 118)."""
        return cls("composition", [_plain(0, vectors.shape[1])], vectors)

    @classmethod
    def from_amd(cls, features: NDArray[np.floating], compositions: NDArray[np.floating]) -> FeatureSpace:
        """Space of `amd_features` (R, 13) beside `composition_vectors` (R, 118), half a kernel each.

        It takes features as `np.hstack([amd_features(...), composition_vectors(...)])`.
        """
        width = features.shape[1]
        blocks = [_standard(features, 0), _plain(width, compositions.shape[1])]
        return cls("amd+composition", blocks, np.hstack([features, compositions]))

    def vectors(self, features: NDArray[np.floating]) -> NDArray[np.float32]:
        """(B, D) float32 unit vectors of (B, D) features."""
        parts = [
            unit_rows((np.asarray(features[:, b.columns], dtype=np.float64) - b.mean) / b.scale)
            for b in self._blocks
        ]
        return np.hstack(parts) / np.float32(np.sqrt(len(parts)))

    @property
    def moments(self) -> Moments:
        """Moments of the reference; made on first use, after which its vectors are let go."""
        with self._lock:
            if self._moments is None and self._rows is not None:
                self._moments, self._rows = moments_of(self._rows), None
        if self._moments is None:  # unreachable: rows go when moments come
            raise RuntimeError("a space of features has neither rows nor moments")
        return self._moments

    def reference_term(self, vectors: NDArray[np.float32]) -> NDArray[np.float64]:
        """(B,) mean kernel of each vector with the reference, exact."""
        return self.moments.mean_cubic_kernel(vectors)


def composition_vectors(compositions: list[NDArray[np.integer]]) -> NDArray[np.float32]:
    """(B, 118) float32 unit vectors: the square root of each element's atomic fraction.

    Parameters
    ----------
    compositions
        Atomic numbers (1 to 118) of each structure's atoms.
    """
    vectors = np.zeros((len(compositions), _MAX_Z), dtype=np.float32)
    for row, numbers in zip(vectors, compositions, strict=True):
        row[:] = np.sqrt(np.bincount(numbers, minlength=_MAX_Z + 1)[1:] / len(numbers))
    return vectors


def amd_features(amd: NDArray[np.floating]) -> NDArray[np.float32]:
    """(B, 13) float32 features of the entries `AMD_ORDERS` (B, 13) of AMD vectors, Angstrom.

    The logarithm of the first is the scale of the structure, the steps between the logarithms of those after
    it are its shape.
    """
    logs = np.log(np.maximum(amd, _LEAST_DISTANCE))
    return np.hstack([logs[:, :1], np.diff(logs, axis=1)]).astype(np.float32)


def _standard(rows: NDArray[np.floating], first: int) -> _Block:
    mean = rows.mean(axis=0, dtype=np.float64)
    spread = rows.std(axis=0, dtype=np.float64)
    scale = np.where(spread > 1e-12, spread, 1.0)
    return _Block(columns=slice(first, first + rows.shape[1]), mean=mean, scale=scale)


def _plain(first: int, width: int) -> _Block:
    return _Block(columns=slice(first, first + width), mean=np.zeros(width), scale=np.ones(width))
