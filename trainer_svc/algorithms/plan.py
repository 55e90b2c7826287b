"""Which structures and denoising steps an update trains on, drawn from seeds alone."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["Minibatch", "plan_pass"]


@dataclass(frozen=True, kw_only=True)
class Minibatch:
    """Structures of one optimiser update, all trained on the same denoising steps."""

    structures: tuple[int, ...]
    steps: tuple[int, ...]

    def micro_batches(self, rows_per_forward: int) -> list[tuple[int, ...]]:
        """Cut into structures whose rows fit one forward pass."""
        size = max(1, rows_per_forward // len(self.steps))
        return [self.structures[start : start + size] for start in range(0, len(self.structures), size)]


def plan_pass(
    structures: Sequence[int],
    sizes: Sequence[int],
    trainable_steps: Sequence[int],
    *,
    fraction: float,
    minibatches: int,
    seed: int,
) -> list[Minibatch]:
    """Deal structures to minibatches and draw their denoising steps.

    Parameters
    ----------
    structures
        Structures with an advantage.
    sizes
        Atoms of each of these; neighbours of equal size need no padding.
    trainable_steps
        Denoising steps that have a density.
    fraction
        Share of these that each minibatch trains, at least one.
    minibatches
        How many; fewer if there are fewer structures.
    seed
        Fixes everything.

    Returns
    -------
    list of Minibatch
        Each structure is in exactly one.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(structures))
    count = max(1, round(fraction * len(trainable_steps)))
    plan = []
    for part in np.array_split(order, min(minibatches, len(structures))):
        steps = np.sort(rng.choice(np.asarray(trainable_steps), size=count, replace=False))
        ordered = sorted(part.tolist(), key=lambda index: (sizes[index], index))
        plan.append(
            Minibatch(
                structures=tuple(int(structures[index]) for index in ordered),
                steps=tuple(int(step) for step in steps),
            )
        )
    return plan
