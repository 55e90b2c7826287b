"""Rollouts as the update sees them: packed latents of every denoising step, and their advantages."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from generator_svc.networks.conditions import Conditions

__all__ = ["Rollouts", "Rows"]


@dataclass(frozen=True, kw_only=True)
class Rows:
    """R denoising steps of single structures, packed; P is their number of atoms together."""

    latents: Tensor
    """(P, L) states before the step."""
    latents_next: Tensor
    """(P, L) states after it."""
    num_atoms: Tensor
    """(R,) int64."""
    step: Tensor
    """(R,) int64, 0 is the noisiest."""
    old_log_prob: Tensor
    """(R,) as the generator reported."""
    advantage: Tensor
    """(R,)."""
    conditions: Conditions | None = None
    """Of the R rows; None: unconditional."""


@dataclass(frozen=True, kw_only=True)
class Rollouts:
    """B sampled structures with T atoms together, S denoising steps each."""

    latents: Tensor
    """(S + 1, T, L) float32, from initial noise to the final latents."""
    num_atoms: Tensor
    """(B,) int64."""
    old_log_probs: Tensor
    """(B, S) float32, averaged over atoms x channels; NaN where a step has no noise."""
    advantages: Tensor
    """(B,) float32."""
    conditions: Conditions | None = None
    """Of the B structures; None: unconditional."""

    def __post_init__(self) -> None:
        steps, atoms = self.latents.shape[0] - 1, int(self.num_atoms.sum())
        if self.latents.shape[1] != atoms:
            raise ValueError(f"latents hold {self.latents.shape[1]} atoms, num_atoms says {atoms}")
        if self.old_log_probs.shape != (len(self.num_atoms), steps):
            shape = tuple(self.old_log_probs.shape)
            raise ValueError(f"old_log_probs has shape {shape}, expected ({len(self.num_atoms)}, {steps})")

    def trainable_steps(self) -> list[int]:
        """Steps whose transition has a density, for every structure."""
        finite = torch.isfinite(self.old_log_probs).all(dim=0)
        return torch.nonzero(finite).flatten().tolist()

    def rows(self, structures: Sequence[int], steps: Sequence[int]) -> Rows:
        """Gather the given steps of the given structures; rows of one structure follow each other."""
        offsets = torch.cumsum(self.num_atoms, 0) - self.num_atoms
        structure = torch.tensor(structures, dtype=torch.int64).repeat_interleave(len(steps))
        step = torch.tensor(steps, dtype=torch.int64).repeat(len(structures))
        counts = self.num_atoms[structure]
        # Atom index of every packed row: its structure's offset plus a running index inside the row.
        starts = torch.cumsum(counts, 0) - counts
        inside = torch.arange(int(counts.sum())) - starts.repeat_interleave(counts)
        atom = offsets[structure].repeat_interleave(counts) + inside
        atom_step = step.repeat_interleave(counts)
        return Rows(
            latents=self.latents[atom_step, atom],
            latents_next=self.latents[atom_step + 1, atom],
            num_atoms=counts,
            step=step,
            old_log_prob=self.old_log_probs[structure, step],
            advantage=self.advantages[structure],
            conditions=None if self.conditions is None else self.conditions.take(structure),
        )
