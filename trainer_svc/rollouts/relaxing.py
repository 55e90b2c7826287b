"""Relaxed targets: the best of a step's samples, moved downhill by the oracle, as the generator sees them.

An oracle that relaxes tells a direction, not only a number. A target is what comes of it in the generator's
own terms: the relaxed crystal is encoded, what its latents decode to is measured, and only that is learnt.
"""

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainer_svc.algorithms.forward import ForwardSettings
from trainer_svc.rewards.measurements import Measurements
from trainer_svc.rollouts.best import best_rows
from trainer_svc.services.policy_link import PolicyLink
from trainer_svc.services.scoring import Scored, Scorer
from xenolith.client import Samples
from xenolith.crystal import CrystalBatch

__all__ = ["RelaxedTargets", "Relaxing"]


@dataclass(frozen=True, kw_only=True)
class RelaxedTargets:
    """R further members of a step's groups."""

    crystals: CrystalBatch
    """What their latents decode to, which is what was measured."""
    latents: NDArray[np.float32]
    """(T, L) final latents."""
    embeddings: NDArray[np.float32] | None
    """(R, D), where the reward values them."""
    groups: NDArray[np.int64]
    """(R,) group of the sample that each was relaxed from."""
    scored: Scored
    oracle_calls: int
    """Structures relaxed and structures scored."""
    seconds: float


class Relaxing:
    """Makes relaxed targets of a step's samples.

    Parameters
    ----------
    settings
        How many, and how far.
    link, scorer
        Generator and oracle.
    components
        What the reward needs of the oracle.
    embeddings
        Whether the reward values the generator's embeddings.
    """

    def __init__(
        self,
        settings: ForwardSettings,
        link: PolicyLink,
        scorer: Scorer,
        components: tuple[int, ...],
        *,
        embeddings: bool,
    ) -> None:
        self._settings, self._link, self._scorer = settings, link, scorer
        self._components, self._embeddings = components, embeddings

    async def targets(
        self, samples: Samples, groups: NDArray[np.int64], measured: Measurements
    ) -> RelaxedTargets | None:
        """Relax the best of B measured samples; None if there is nothing to learn from."""
        began = time.monotonic()
        chosen = best_rows(measured, self._settings.relaxed_targets, self._settings.relax_below)
        if not len(chosen):
            return None
        options = {"max_steps": self._settings.relaxation_steps}
        relaxed = await self._scorer.relax(samples.crystals.take(chosen), options, lambda _done: None)
        kept = np.flatnonzero(relaxed.ok)
        if not len(kept):
            return None
        encoded = await self._link.encode(relaxed.crystals.take(kept), return_embeddings=self._embeddings)
        counts = relaxed.crystals.num_atoms[kept]
        owner = np.repeat(np.arange(len(kept)), counts)
        broken = np.unique(owner[~np.isfinite(encoded.latents).all(axis=1)])
        sound = np.setdiff1d(np.arange(len(kept)), broken)
        if not len(sound):
            return None
        latents = encoded.latents[np.isin(owner, sound)]
        crystals = await self._link.decode(latents, counts[sound])
        scored = await self._scorer.score(crystals, self._components)
        return RelaxedTargets(
            crystals=crystals,
            latents=latents,
            embeddings=None if encoded.embeddings is None else encoded.embeddings[sound],
            groups=groups[chosen[kept[sound]]],
            scored=scored,
            oracle_calls=len(chosen) + len(sound),
            seconds=time.monotonic() - began,
        )
