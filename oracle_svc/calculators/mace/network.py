"""MACE's energy network, arranged for batches of crystals of any elements.

The numbers are those of `mace.modules.ScaleShiftMACE` to rounding. What differs is the order of the work:

- one-hot products with elements become one small matrix per element that is there;
- the weights of the symmetric contraction are contracted with its coupling once per element, ever;
- radial networks run once per pair of neighbours, not once per direction;
- messages are summed over neighbours by matrix products, without being written down one by one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from oracle_svc.calculators.mace.graph import SparseGraph, receivers_of
from oracle_svc.calculators.mace.layers import PLAIN, RESIDUAL, Groups, Layer, Table

__all__ = ["MaceNetwork", "MaceNumbers", "unsupported"]

_EDGES_AT_ONCE = 2048
"""Entries of one table of neighbours: its intermediate results stay in the second-level cache."""
_EDGES_AT_ONCE_ELSEWHERE = 200_000


def unsupported(model: Any) -> str | None:
    """Why a model's architecture needs the library's own code, or None."""
    kinds = {type(block).__name__ for block in model.interactions}
    if kinds - {*RESIDUAL, *PLAIN}:
        return f"interaction {', '.join(sorted(kinds))}"
    if hasattr(model, "joint_embedding"):
        return "embeddings of further inputs"
    if getattr(model, "use_so3", False) or getattr(model, "use_agnostic_product", False):
        return "products that ignore parity or elements"
    if any(block.cueq_config or block.oeq_config for block in model.interactions):
        return "accelerated kernels of another library"
    degrees = [[ir.l for _, ir in block.conv_tp.irreps_in1] for block in model.interactions]
    if any(len(set(found)) < len(found) for found in degrees):
        return "features of both parities"
    if any(
        part.correlation > 3 for block in model.products for part in block.symmetric_contractions.contractions
    ):
        return "a correlation above three"
    return None


@dataclass(frozen=True, kw_only=True)
class MaceNumbers:
    """Output of the network for B crystals with T atoms, in the order in which they were given."""

    energy: NDArray[np.float64]
    """(B,) float64, eV."""
    features: NDArray[np.floating]
    """(T, D) invariant features of all layers."""
    forces: NDArray[np.float64] | None
    """(T, 3) float64, eV/Angstrom."""
    virial: NDArray[np.float64] | None
    """(B, 3, 3) float64, derivative of the energy with respect to strain, eV."""


class MaceNetwork:
    """Energies and features of crystals.

    Parameters
    ----------
    model
        A `ScaleShiftMACE` for which `unsupported` says None; its weights are read once.
    """

    @torch.no_grad()
    def __init__(self, model: Any) -> None:
        self._model = model
        self._dtype, self._device = model.r_max.dtype, model.r_max.device
        count = len(model.atomic_numbers)
        self._one_hot = torch.eye(count, dtype=self._dtype, device=self._device)
        self._species = model.node_embedding(self._one_hot)
        self._edges_at_once = _EDGES_AT_ONCE if self._device.type == "cpu" else _EDGES_AT_ONCE_ELSEWHERE
        degree = [ir.l for mul, ir in model.spherical_harmonics.irreps_out for _ in range(ir.dim * mul)]
        self._parity = (-1.0) ** torch.tensor(degree, dtype=self._dtype, device=self._device)
        self._layers = [
            Layer(block, after) for block, after in zip(model.interactions, model.products, strict=True)
        ]

    def evaluate(self, graph: SparseGraph, head: int, *, with_forces: bool) -> MaceNumbers:
        """Evaluate crystals; `head` is the row of the model's head."""
        vectors = torch.tensor(
            graph.vector, dtype=self._dtype, device=self._device, requires_grad=with_forces
        )
        with torch.set_grad_enabled(with_forces):
            energy, features = self._energies(graph, head, vectors)
        slopes = np.zeros((0, 3))
        if with_forces:
            slopes = torch.autograd.grad(energy.sum(), vectors)[0].double().cpu().numpy()
        return MaceNumbers(
            energy=energy.detach().cpu().numpy(),
            features=features.detach().cpu().numpy()[graph.place],
            forces=_forces(graph, slopes)[graph.place] if with_forces else None,
            virial=_virial(graph, slopes) if with_forces else None,
        )

    def _energies(self, graph: SparseGraph, head: int, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Energies (B,) in float64 and invariant features (A, D), atoms in the graph's order."""
        model = self._model
        elements, owner = self._whole(graph.elements), self._whole(graph.owner)
        heads = torch.full_like(owner, head)
        ends = torch.stack([self._whole(graph.first), self._whole(graph.second)])
        attributes = self._one_hot[elements]
        lengths = vectors.norm(dim=1, keepdim=True)
        radial, cutoff = model.radial_embedding(lengths, attributes, ends, model.atomic_numbers)
        harmonics = model.spherical_harmonics(vectors)
        nowhere = harmonics.new_zeros((1, len(self._parity)))
        directed = torch.cat([harmonics, harmonics * self._parity, nowhere])
        tables = [Table(table, self._device) for table in receivers_of(graph, self._edges_at_once)]

        groups = Groups(graph)
        features: list[Tensor] = [self._species[elements].unsqueeze(1)]
        outputs = []
        for layer in self._layers:
            features = layer(features, radial, cutoff, directed, ends, tables, groups)
            outputs.append(features)
        node_energy = self._read_out(outputs, heads)
        if hasattr(model, "pair_repulsion"):
            # Each pair comes once, so all of its energy goes to one end.
            repulsion = model.pair_repulsion_fn(lengths, attributes, ends, model.atomic_numbers)
            node_energy = node_energy + 2 * repulsion
        alone = model.atomic_energies_fn(attributes)[self._atoms(heads), heads]
        node_energy = model.scale_shift(node_energy, heads).double() + alone.double()
        total = node_energy.new_zeros(graph.num_crystals).index_add(0, owner, node_energy)
        return total, torch.cat([found[0].squeeze(1) for found in outputs], dim=1)

    def _read_out(self, outputs: list[list[Tensor]], heads: Tensor) -> Tensor:
        """Sum of the readouts' energies per atom; they take features as e3nn lays them out."""
        readouts = self._model.readouts
        total = outputs[0][0].new_zeros(len(heads))
        for readout, features in zip(readouts, outputs[-len(readouts) :], strict=True):
            flat = torch.cat([part.transpose(1, 2).flatten(1) for part in features], dim=1)
            total = total + readout(flat, heads)[self._atoms(heads), heads]
        return total

    def _atoms(self, like: Tensor) -> Tensor:
        return torch.arange(len(like), device=self._device)

    def _whole(self, values: NDArray[np.int64]) -> Tensor:
        return torch.as_tensor(values, dtype=torch.int64, device=self._device)


def _forces(graph: SparseGraph, slopes: NDArray[np.float64]) -> NDArray[np.float64]:
    """(A, 3) forces from the energy's derivatives with respect to the pair vectors."""
    forces = np.zeros((len(graph.elements), 3))
    np.add.at(forces, graph.first, slopes)
    np.subtract.at(forces, graph.second, slopes)
    return forces


def _virial(graph: SparseGraph, slopes: NDArray[np.float64]) -> NDArray[np.float64]:
    """(B, 3, 3) derivatives of the energy with respect to strain, eV."""
    virial = np.zeros((graph.num_crystals, 3, 3))
    np.add.at(virial, graph.owner[graph.first], graph.vector[:, :, None] * slopes[:, None, :])
    return virial
