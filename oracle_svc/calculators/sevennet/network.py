"""SevenNet's model on merged graphs: energies, and their derivatives by the vectors of the edges."""

from __future__ import annotations

from collections.abc import Sequence

import e3nn.util.jit
import numpy as np
import torch
from numpy.typing import NDArray

from oracle_svc.calculators.sevennet.checkpoint import build_model
from oracle_svc.crystals.neighbors import Neighbors

__all__ = ["COMPILE_AFTER", "SevennetNetwork", "edge_vectors"]

COMPILE_AFTER = 500
"""Structures whose saved time pays for compiling the model, about 7 s."""


def edge_vectors(bonds: Neighbors) -> NDArray[np.float64]:
    """(P, 3) vectors from each centre to its neighbour, Angstrom."""
    vectors: NDArray[np.float64] = (
        bonds.positions[bonds.neighbor] + bonds.image @ bonds.lattice - bonds.positions[bonds.center]
    )
    return vectors


class SevennetNetwork:
    """The model in inference.

    Energies alone are worth compiling with TorchScript: a quarter less time, measured on a CPU. Compiling
    takes several seconds, so it waits until there is that much to save; derivatives gain nothing by it.

    Parameters
    ----------
    device
        Where it computes.
    compile_after
        Energies after which the model is compiled.
    """

    def __init__(self, device: torch.device, *, compile_after: int = COMPILE_AFTER) -> None:
        model, self.row_of, self.cutoff = build_model()
        self._device = device
        self._model = model.to(device).requires_grad_(False)
        self._compiled: torch.nn.Module | None = None
        self._until_compiled = compile_after

    def energies(self, bonds: Sequence[Neighbors], rows: Sequence[NDArray[np.int64]]) -> NDArray[np.float64]:
        """(B,) energies of crystals, eV; `rows` are the model's numbers of their elements."""
        if self._compiled is None and self._until_compiled <= 0:
            self._compiled = torch.jit.freeze(e3nn.util.jit.script(self._model))
        self._until_compiled -= len(rows)
        with torch.no_grad():
            return _energies(self._compiled or self._model, self._graph(bonds, rows)).double().cpu().numpy()

    def derivatives(
        self, bonds: Sequence[Neighbors], rows: Sequence[NDArray[np.int64]]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(B,) energies, eV, and (P, 3) their derivatives by the vectors of all edges, eV/Angstrom."""
        graph = self._graph(bonds, rows)
        vectors = graph["edge_vec"].requires_grad_()
        energies = _energies(self._model, graph)
        (gradient,) = torch.autograd.grad(energies.sum(), vectors)
        return energies.detach().double().cpu().numpy(), gradient.double().cpu().numpy()

    def _graph(
        self, bonds: Sequence[Neighbors], rows: Sequence[NDArray[np.int64]]
    ) -> dict[str, torch.Tensor]:
        counts = np.array([len(row) for row in rows])
        begins = np.cumsum(counts) - counts
        pairs = [np.stack([b.center, b.neighbor]) + at for b, at in zip(bonds, begins, strict=True)]
        vectors = np.concatenate([edge_vectors(b) for b in bonds])
        on = {"device": self._device}
        return {
            "x": torch.as_tensor(np.concatenate(rows), dtype=torch.int64, **on),
            "edge_index": torch.as_tensor(np.concatenate(pairs, axis=1), dtype=torch.int64, **on),
            "edge_vec": torch.as_tensor(vectors, dtype=torch.float32, **on),
            "batch": torch.as_tensor(np.repeat(np.arange(len(rows)), counts), dtype=torch.int64, **on),
            "num_atoms": torch.as_tensor(counts, dtype=torch.int64, **on),
        }


def _energies(model: torch.nn.Module, graph: dict[str, torch.Tensor]) -> torch.Tensor:
    found: torch.Tensor = model(graph)["inferred_total_energy"]
    return found
