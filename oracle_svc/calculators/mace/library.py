"""MACE's own forward pass, for every architecture that the library knows."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from oracle_svc.crystals.neighbors import Neighbors

__all__ = ["MaceLibrary"]


class MaceLibrary:
    """Runs a model as the library does; slower than `MaceNetwork`, and the same numbers to rounding.

    Parameters
    ----------
    model
        A model of `mace.modules`, on its device.
    dtype, device
        Of its weights.
    """

    def __init__(self, model: Any, dtype: torch.dtype, device: torch.device) -> None:
        self._model, self._dtype, self._device = model, dtype, device
        irreps = [product.linear.irreps_out for product in model.products]
        self._invariants = sum(block.mul for block in irreps[0] if block.ir.l == 0)
        self._layers = [layer.dim for layer in irreps]

    @property
    def embedding_size(self) -> int:
        """Invariant features of an atom, of all layers."""
        return self._invariants * len(self._layers)

    def evaluate(
        self, bonds: Sequence[Neighbors], rows: Sequence[NDArray[np.int64]], head: int, *, with_forces: bool
    ) -> dict[str, NDArray[np.floating]]:
        """Return numbers of B crystals with T atoms in all.

        Parameters
        ----------
        bonds
            Pairs of neighbours of each crystal.
        rows
            (N,) int64 row of each of its atoms' elements in the model.
        head
            Which head of the model.
        with_forces
            Give forces and stress too.

        Returns
        -------
        dict
            ``energy`` (B,) eV, ``features`` (T, D), and if asked ``forces`` (T, 3) eV/Angstrom and ``stress``
            (B, 3, 3) eV/Angstrom^3.
        """
        with nullcontext() if with_forces else torch.no_grad():
            found = self._model(
                self._graph(bonds, rows, head), compute_force=with_forces, compute_stress=with_forces
            )
        names = ("energy", "forces", "stress") if with_forces else ("energy",)
        numbers = {name: found[name].detach().double().cpu().numpy() for name in names}
        features = self._features(found["node_feats"].detach()).cpu().numpy().astype(np.float32)
        return {**numbers, "features": features}

    def _features(self, node_features: torch.Tensor) -> torch.Tensor:
        """Keep the invariant columns, which come first in each layer."""
        layers = node_features.split(self._layers, dim=1)
        return torch.cat([layer[:, : self._invariants] for layer in layers], dim=1)

    def _graph(
        self, bonds: Sequence[Neighbors], rows: Sequence[NDArray[np.int64]], head: int
    ) -> dict[str, torch.Tensor]:
        """One disconnected graph of all structures, under MACE's names."""
        sizes = np.array([len(found) for found in rows])
        starts = np.concatenate([[0], np.cumsum(sizes)])
        ends = [
            np.stack([pairs.center, pairs.neighbor]) + start
            for pairs, start in zip(bonds, starts[:-1], strict=True)
        ]
        one_hot = np.eye(len(self._model.atomic_numbers))[np.concatenate(rows)]
        return {
            "positions": self._real(np.concatenate([pairs.positions for pairs in bonds])),
            "node_attrs": self._real(one_hot),
            "edge_index": self._whole(np.concatenate(ends, axis=1)),
            "shifts": self._real(np.concatenate([pairs.image @ pairs.lattice for pairs in bonds])),
            "unit_shifts": self._real(np.concatenate([pairs.image for pairs in bonds])),
            "cell": self._real(np.concatenate([pairs.lattice for pairs in bonds])),
            "batch": self._whole(np.repeat(np.arange(len(bonds)), sizes)),
            "ptr": self._whole(starts),
            "head": self._whole(np.full(len(bonds), head)),
        }

    def _real(self, values: NDArray[np.float64]) -> torch.Tensor:
        return torch.tensor(values, dtype=self._dtype, device=self._device)

    def _whole(self, values: NDArray[np.int64]) -> torch.Tensor:
        return torch.tensor(values, dtype=torch.int64, device=self._device)
