"""Diversity of a batch: the kernel between structures, and what each adds to the spread of all.

Oracle and trainer measure it with this one: the oracle in the space of its calculator's embeddings or of
compositions, against known structures; the trainer in the space of the generator's embeddings.
"""

import numpy as np
from numpy.typing import NDArray

__all__ = ["contributions", "kernel", "unit_rows"]

Floats = NDArray[np.floating]


def kernel(x: Floats, y: Floats) -> NDArray[np.float64]:
    """(A, B) kernel ((x.y + 1) / 2)^3 of unit vectors (A, D) and (B, D): polynomial, between 0 and 1."""
    half = np.clip((x @ y.T + 1.0) * 0.5, 0.0, 1.0)
    return np.asarray(half * half * half)


def contributions(vectors: Floats, reference_term: Floats) -> NDArray[np.float64]:
    """Contribution of each structure to the squared maximum mean discrepancy (leave one out); NaN for one.

    Positive: without this structure the batch covers the reference less well. Negative: it covers it better.

    Parameters
    ----------
    vectors
        (B, D) unit vectors of the batch.
    reference_term
        (B,) mean kernel with the reference; zeros without one, which leaves the spread of the batch alone.
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


def unit_rows(rows: Floats) -> NDArray[np.float32]:
    """Rows at unit length; the zero vector stays zero."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(lengths > 0, lengths, 1.0), dtype=np.float32)
