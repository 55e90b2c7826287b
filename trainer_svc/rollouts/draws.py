"""Random draws of a step: atom counts and seeds, as functions of the run's seed alone."""

from collections.abc import Sequence
from copy import copy

import numpy as np
from numpy.typing import NDArray

from trainer_svc.config.run_config import AtomCounts
from trainer_svc.errors import ConfigError
from trainer_svc.seeds import derive_seed
from xenolith.v1 import generator_pb2

__all__ = ["AtomCountPrior", "evaluation_seeds", "group_counts", "member_seeds"]


class AtomCountPrior:
    """Atom counts with their probabilities."""

    def __init__(
        self, prior: Sequence[generator_pb2.AtomCountProbability], wanted: AtomCounts, max_atoms: int
    ) -> None:
        """Restrict a generator's prior to what a run wants.

        Raises
        ------
        ConfigError
            Nothing is left, or the generator cannot make what is wanted.
        """
        high = min(wanted.max or max_atoms, max_atoms)
        if wanted.choices:
            chosen = dict.fromkeys(wanted.choices, 1.0)
        else:
            chosen = {entry.num_atoms: entry.probability for entry in prior}
        kept = {count: p for count, p in chosen.items() if wanted.min <= count <= high and p > 0.0}
        if not kept or (wanted.choices and len(kept) < len(chosen)):
            raise ConfigError(
                f"atom_counts asks for {wanted.choices or (wanted.min, wanted.max)}, but the generator makes"
                f" 1 to {max_atoms} atoms"
            )
        self._counts = np.array(sorted(kept), dtype=np.int64)
        weights = np.array([kept[int(count)] for count in self._counts])
        self._probabilities = weights / weights.sum()

    @property
    def counts(self) -> list[int]:
        """All atom counts, ascending."""
        return [int(count) for count in self._counts]

    def among(self, counts: Sequence[int]) -> "AtomCountPrior":
        """Give the same distribution restricted to some of its counts."""
        kept = np.isin(self._counts, counts)
        other = copy(self)
        other._counts = self._counts[kept]
        other._probabilities = self._probabilities[kept] / self._probabilities[kept].sum()
        return other

    def times(self, factors: NDArray[np.float64] | None) -> "AtomCountPrior":
        """Give the distribution with the probability of each of its counts multiplied; None leaves it."""
        if factors is None:
            return self
        other = copy(self)
        weighted = self._probabilities * factors
        other._probabilities = weighted / weighted.sum()
        return other

    def draw(self, size: int, seed: int) -> NDArray[np.int64]:
        """Draw (size,) atom counts."""
        return np.random.default_rng(seed).choice(self._counts, size=size, p=self._probabilities)


def group_counts(priors: Sequence[AtomCountPrior], run_seed: int, step: int) -> list[int]:
    """Draw the atom count of each group of a step, from the group's own distribution."""
    return [
        int(prior.draw(1, derive_seed(run_seed, "atoms", step, group))[0])
        for group, prior in enumerate(priors)
    ]


def member_seeds(run_seed: int, step: int, group: int, members: int) -> list[int]:
    """Give the seed of each member of a group."""
    return [derive_seed(run_seed, "sample", step, group, member) for member in range(members)]


def evaluation_seeds(seed: int, size: int) -> list[int]:
    """Give the seeds of an evaluation's samples; no training sample shares one."""
    return [derive_seed(seed, "evaluate", index) for index in range(size)]
