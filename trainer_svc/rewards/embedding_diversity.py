"""Diversity in the generator's own eyes: what each sample of a step adds to the spread of its embeddings.

The structure diversity of arXiv 2511.07158 is a leave-one-out maximum mean discrepancy on pooled latents of
the autoencoder; its reference term is the same for all members and cancels, so that none is needed.
"""

import numpy as np
from numpy.typing import NDArray

from trainer_svc.rewards.measurements import FloatColumn
from xenolith.diversity import contributions, unit_rows

__all__ = ["embedding_diversity"]

_LEAST_SPREAD = 1e-12


def embedding_diversity(embeddings: NDArray[np.float32]) -> FloatColumn:
    """Return the contribution of each of B samples to the diversity of all: (B,), NaN where it has none.

    Parameters
    ----------
    embeddings
        (B, D) of the generator; rows that are not finite take no part. Columns are standardised over the
        others, and rows brought to unit length.
    """
    found = np.full(len(embeddings), np.nan)
    finite = np.isfinite(embeddings).all(axis=1)
    if not finite.any():
        return found
    rows = embeddings[finite].astype(np.float64)
    spread = rows.std(axis=0)
    vectors = unit_rows((rows - rows.mean(axis=0)) / np.where(spread > _LEAST_SPREAD, spread, 1.0))
    found[finite] = contributions(vectors, np.zeros(len(vectors)))
    return found
