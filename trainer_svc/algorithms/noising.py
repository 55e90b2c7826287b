"""Forward noising of finished samples: which times and which noise, drawn from a seed alone."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from generator_svc.networks.conditions import Conditions
from generator_svc.networks.ragged import Ragged
from generator_svc.networks.schedule import alpha_sigma
from trainer_svc.algorithms.base import Batch

__all__ = ["NoisedRows", "Noising"]


@dataclass(frozen=True, kw_only=True)
class NoisedRows:
    """R noised copies of samples, packed; P is their number of atoms together."""

    clean: Tensor
    """(P, L) latents as sampled, z0."""
    noise: Tensor
    """(P, L) standard normal, eps."""
    alpha: Tensor
    """(P, 1) scale of the signal at each row's time."""
    sigma: Tensor
    """(P, 1) scale of the noise."""
    time: Tensor
    """(R,) in (0, 1); 1 is pure noise."""
    advantage: Tensor
    """(R,) of the row's sample."""
    ragged: Ragged
    """Layout of the rows."""
    conditions: Conditions | None
    """Of the R rows; None: unconditional."""

    @property
    def noisy(self) -> Tensor:
        """(P, L) what the denoiser sees, x_t = alpha z0 + sigma eps."""
        return self.alpha * self.clean + self.sigma * self.noise

    @property
    def target(self) -> Tensor:
        """(P, L) the velocity that leads back to the sample, u = alpha eps - sigma z0."""
        return self.alpha * self.noise - self.sigma * self.clean

    def mean(self, values: Tensor) -> Tensor:
        """Average (P, L) over the atoms and channels of each row: (R,)."""
        return self.ragged.mean(values.mean(dim=-1, keepdim=True)).squeeze(1)


class Noising:
    """K times and noises of each of B samples.

    Drawn for the whole batch at once: what a sample meets does not depend on its minibatch, and
    all networks that are compared see the same.
    """

    def __init__(self, batch: Batch, count: int, seed: int) -> None:
        """Draw.

        Parameters
        ----------
        batch
            B samples with T atoms together.
        count
            K, at least 1: the times of a sample are stratified, one in each of K equal parts of (0, 1).
        seed
            Fixes everything.
        """
        draw = torch.Generator().manual_seed(seed)
        slots = torch.arange(count)[:, None]
        uniform = torch.rand(count, len(batch.num_atoms), generator=draw)
        # Not quite to the ends: at 0 there is no noise to remove, at 1 no sample left.
        self._time = ((slots + uniform) / count).clamp(1e-3, 1.0 - 1e-3)
        self._noise = torch.randn(count, *batch.latents.shape, generator=draw)
        self._batch = batch
        self._offsets = torch.cumsum(batch.num_atoms, 0) - batch.num_atoms

    def rows(self, samples: Sequence[int], noisings: Sequence[int]) -> NoisedRows:
        """Gather the given noisings of the given samples; rows of one sample follow each other."""
        batch = self._batch
        sample = torch.tensor(samples, dtype=torch.int64).repeat_interleave(len(noisings))
        noising = torch.tensor(noisings, dtype=torch.int64).repeat(len(samples))
        ragged = Ragged(batch.num_atoms[sample])
        starts = torch.cumsum(ragged.num_atoms, 0) - ragged.num_atoms
        inside = torch.arange(int(ragged.num_atoms.sum())) - ragged.expand(starts)
        atom = ragged.expand(self._offsets[sample]) + inside
        time = self._time[noising, sample]
        alpha, sigma = (ragged.expand(scale[:, None]) for scale in alpha_sigma(time))
        return NoisedRows(
            clean=batch.latents[atom],
            noise=self._noise[ragged.expand(noising), atom],
            alpha=alpha,
            sigma=sigma,
            time=time,
            advantage=batch.advantages[sample],
            ragged=ragged,
            conditions=None if batch.conditions is None else batch.conditions.take(sample),
        )
