"""Members of a step's groups: the samples, and after them the relaxed targets that join their groups."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainer_svc.rewards.embedding_diversity import embedding_diversity
from trainer_svc.rewards.measurements import EMBEDDING_DIVERSITY, Measurements
from trainer_svc.rollouts.pipeline import Collected
from xenolith.crystal import CrystalBatch

__all__ = ["Members", "members_of"]


@dataclass(frozen=True, kw_only=True)
class Members:
    """B structures that a step learns from."""

    drawn: int
    """How many of them, the first, were sampled; the others are relaxed targets."""
    crystals: CrystalBatch
    measured: Measurements
    """By the oracle; of the best by the second judge, where there is one."""
    groups: NDArray[np.int64]
    """(B,)."""
    latents: Tensor
    """(T, L) final latents."""


def members_of(collected: Collected) -> Members:
    """Put the structures of a step together."""
    samples, relaxed = collected.samples, collected.relaxed
    crystals, measured, groups = samples.crystals, collected.scored.measured, collected.groups
    latents, embeddings = samples.latents, samples.embeddings
    if relaxed is not None:
        crystals = CrystalBatch.concat([crystals, relaxed.crystals])
        measured = Measurements.concat([measured, relaxed.scored.measured])
        groups = np.concatenate([groups, relaxed.groups])
        latents = np.concatenate([latents, relaxed.latents])
        if embeddings is not None and relaxed.embeddings is not None:
            embeddings = np.concatenate([embeddings, relaxed.embeddings])
    if collected.judged is not None:
        measured = collected.judged.applied(measured)
    if embeddings is not None:
        measured = measured.with_column(EMBEDDING_DIVERSITY, embedding_diversity(embeddings))
    return Members(
        drawn=len(samples),
        crystals=crystals,
        measured=measured,
        groups=groups,
        latents=torch.from_numpy(latents),
    )
