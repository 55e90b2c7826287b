"""What each structure of a batch does for the batch's diversity.

For a batch B and a reference R the squared maximum mean discrepancy with a kernel k is

    MMD^2(B, R) = mean k(B, B) - 2 mean k(B, R) + mean k(R, R),

small if B is spread as R is. The *contribution* of structure i is what the batch would lose without it:

    contribution_i = MMD^2(B without i, R) - MMD^2(B, R).

**A positive value rewards**: being unlike the other members of the batch, in a place where the reference has
structures; the batch covers the reference less well without this one. **A negative value punishes**: being
one of many alike (each further copy raises mean k(B, B)), or lying far from everything that is known. The
term mean k(R, R) cancels and is never computed. The sum is over all pairs, a structure with itself
included; this makes the value defined from two structures on.

The kernel is polynomial of degree three on unit vectors, k(x, y) = ((x.y + 1) / 2)^3, between 0 and 1: no
structure can buy an unbounded contribution with an exploding embedding.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["FeatureSpace", "composition_vectors", "contributions", "kernel"]

_MAX_Z = 118
_REFERENCE_ROWS = 8192
"""Reference rows per matrix product: 10 MB of kernel at a batch of 160."""


@dataclass(frozen=True, kw_only=True)
class FeatureSpace:
    """Unit vectors of the reference, and how a structure's features become one.

    Features are centred and scaled by the reference's own mean and standard deviation, column by column,
    before they are brought to unit length; compositions are unit vectors already and stay as they are.
    """

    reference: np.ndarray
    """(R, D) float32 unit vectors."""
    mean: np.ndarray
    """(D,) subtracted from features."""
    scale: np.ndarray
    """(D,) divides them afterwards."""

    @classmethod
    def from_embeddings(cls, embeddings: np.ndarray) -> FeatureSpace:
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
        mean = rows.mean(axis=0, dtype=np.float64)
        spread = rows.std(axis=0, dtype=np.float64)
        scale = np.where(spread > 1e-12, spread, 1.0)
        return cls(reference=_unit((rows - mean) / scale), mean=mean, scale=scale)

    @classmethod
    def from_compositions(cls, vectors: np.ndarray) -> FeatureSpace:
        """Space of `composition_vectors`, (R, 118)."""
        width = vectors.shape[1]
        return cls(
            reference=np.asarray(vectors, dtype=np.float32), mean=np.zeros(width), scale=np.ones(width)
        )

    def vectors(self, features: np.ndarray) -> np.ndarray:
        """(B, D) float32 unit vectors of (B, D) features."""
        return _unit((np.asarray(features, dtype=np.float64) - self.mean) / self.scale)

    def reference_term(self, vectors: np.ndarray) -> np.ndarray:
        """(B,) mean kernel of each vector with the reference, exact, in row blocks."""
        total = np.zeros(len(vectors))
        for start in range(0, len(self.reference), _REFERENCE_ROWS):
            total += kernel(vectors, self.reference[start : start + _REFERENCE_ROWS]).sum(
                axis=1, dtype=np.float64
            )
        return total / len(self.reference)


def kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(A, B) kernel ((x.y + 1) / 2)^3 of unit vectors (A, D) and (B, D)."""
    half = np.clip((x @ y.T + 1.0) * 0.5, 0.0, 1.0)
    return np.asarray(half * half * half)


def contributions(vectors: np.ndarray, reference_term: np.ndarray) -> np.ndarray:
    """Leave-one-out contribution of each structure (see the module); NaN for a batch of one.

    Parameters
    ----------
    vectors
        (B, D) unit vectors of the batch.
    reference_term
        (B,) mean kernel with the reference.
    """
    n = len(vectors)
    if n < 2:
        return np.full(n, np.nan)
    pairs = kernel(vectors.astype(np.float64), vectors.astype(np.float64))
    rows = pairs.sum(axis=1)
    total, toward = rows.sum(), float(reference_term.sum())
    whole = total / n**2 - 2.0 * toward / n
    without = (total - 2.0 * rows + np.diag(pairs)) / (n - 1) ** 2 - 2.0 * (toward - reference_term) / (n - 1)
    return np.asarray(without - whole)


def composition_vectors(compositions: list[np.ndarray]) -> np.ndarray:
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


def _unit(rows: np.ndarray) -> np.ndarray:
    """Rows at unit length; the zero vector stays zero."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(lengths > 0, lengths, 1.0), dtype=np.float32)
