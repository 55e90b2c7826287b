"""Ragged batches: atoms of many structures packed along one axis, padded only where attention needs it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

__all__ = ["Ragged"]


@dataclass(frozen=True)
class Ragged:
    """Layout of a packed batch.

    Linear layers run on the packed (T, ...) form and so cost nothing for padding; only attention sees
    the padded (B, M, ...) form, with M the largest atom count of the batch.
    """

    num_atoms: Tensor
    """(B,) int64, atoms of each structure, at least 1."""

    @cached_property
    def size(self) -> int:
        """Number of structures B."""
        return int(self.num_atoms.shape[0])

    @cached_property
    def max_atoms(self) -> int:
        """Largest atom count M."""
        return int(self.num_atoms.max())

    @cached_property
    def uniform(self) -> bool:
        """Whether every structure has the same atom count, so that padding is a view."""
        return bool((self.num_atoms == self.max_atoms).all())

    @cached_property
    def runs(self) -> list[tuple[int, int]]:
        """(structures, atoms of each) of every run of neighbours with equal atom counts."""
        atoms, structures = self.num_atoms.unique_consecutive(return_counts=True)
        return list(zip(structures.tolist(), atoms.tolist(), strict=True))

    @cached_property
    def by_size(self) -> tuple[Ragged, Tensor | None]:
        """The layout with structures in ascending order of atom count, so that each count is one run.

        With it comes (T,) int64, the packed atom that belongs in each place; None where nothing moves.
        """
        if bool((self.num_atoms.diff() >= 0).all()):
            return self, None
        order = self.num_atoms.argsort(stable=True)
        rank = order.argsort()
        return Ragged(self.num_atoms[order]), self.expand(rank).argsort(stable=True)

    @cached_property
    def structure_index(self) -> Tensor:
        """(T,) int64, the structure each packed atom belongs to."""
        index = torch.arange(self.size, device=self.num_atoms.device)
        return index.repeat_interleave(self.num_atoms)

    @cached_property
    def mask(self) -> Tensor:
        """(B, M) bool, true where an atom is."""
        slots = torch.arange(self.max_atoms, device=self.num_atoms.device)
        return slots[None, :] < self.num_atoms[:, None]

    @cached_property
    def _flat_slot(self) -> Tensor:
        return self.mask.reshape(-1).nonzero().squeeze(1)

    def pad(self, packed: Tensor) -> Tensor:
        """Packed (T, ...) to padded (B, M, ...), zeros in the empty slots."""
        shape = (self.size, self.max_atoms, *packed.shape[1:])
        if self.uniform:
            return packed.reshape(shape)
        flat = packed.new_zeros(self.size * self.max_atoms, *packed.shape[1:])
        return flat.index_copy(0, self._flat_slot, packed).reshape(shape)

    def pack(self, padded: Tensor) -> Tensor:
        """Padded (B, M, ...) to packed (T, ...)."""
        flat = padded.reshape(self.size * self.max_atoms, *padded.shape[2:])
        return flat if self.uniform else flat.index_select(0, self._flat_slot)

    def mean(self, packed: Tensor) -> Tensor:
        """Mean over the atoms of each structure: (T, d) to (B, d)."""
        return self.sum(packed) / self.num_atoms[:, None].to(packed.dtype)

    def sum(self, packed: Tensor) -> Tensor:
        """Sum over the atoms of each structure: (T, d) to (B, d)."""
        if self.uniform:
            return self.pad(packed).sum(dim=1)
        total = packed.new_zeros(self.size, packed.shape[1])
        return total.index_add(0, self.structure_index, packed)

    def expand(self, per_structure: Tensor) -> Tensor:
        """Repeat (B, ...) for each atom: (T, ...)."""
        return per_structure.index_select(0, self.structure_index)
