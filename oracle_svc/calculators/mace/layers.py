"""One layer of MACE: messages from neighbours, then products of them, on atoms sorted by element."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from oracle_svc.calculators.mace.graph import Receivers, SparseGraph
from oracle_svc.calculators.mace.tables import Contraction, element_blocks, linear_blocks, paths_of

__all__ = ["PLAIN", "RESIDUAL", "Groups", "Layer", "Table"]

RESIDUAL = ("RealAgnosticResidualInteractionBlock", "RealAgnosticDensityResidualInteractionBlock")
"""Interactions that pass an atom's own feature by the message."""
PLAIN = ("RealAgnosticInteractionBlock", "RealAgnosticDensityInteractionBlock")
"""Interactions that put the message through weights of the atom's element."""


class Groups:
    """Atoms of each element: contiguous, since atoms are sorted by it."""

    def __init__(self, graph: SparseGraph) -> None:
        present, begin = np.unique(graph.elements, return_index=True)
        ends = [*begin[1:].tolist(), len(graph.elements)]
        self.slices = [
            (int(element), slice(start, end))
            for element, start, end in zip(present, begin.tolist(), ends, strict=True)
        ]


class Table:
    """`Receivers` on the device."""

    def __init__(self, table: Receivers, device: torch.device) -> None:
        self.shape = table.edge.shape
        self.atoms, self.edge, self.pair, self.sender = (
            torch.as_tensor(values.ravel(), device=device)
            for values in (table.atoms, table.edge, table.pair, table.sender)
        )


class Layer:
    """One interaction and the product after it. Features are lists of (A, 2 l + 1, C), by l."""

    def __init__(self, block: Any, after: Any) -> None:
        self._block = block
        self._hidden = list(block.conv_tp_weights.children())[:-1]
        self._up = linear_blocks(block.linear_up)
        self._paths = list(paths_of(block))
        self._sources = sorted({path.source for path in self._paths})
        self._sizes = [ir.dim for _, ir in block.conv_tp.irreps_out]
        self._in_sizes = [ir.dim for _, ir in block.conv_tp.irreps_in1]
        self._down = linear_blocks(block.linear)
        self._skip = element_blocks(block.skip_tp)
        self._residual = type(block).__name__ in RESIDUAL
        self._contraction = Contraction(after.symmetric_contractions)
        self._outputs = [ir.dim for _, ir in after.linear.irreps_in]
        self._last = linear_blocks(after.linear)
        self._use_skip = bool(after.use_sc) and self._residual

    def __call__(
        self,
        features: Sequence[Tensor],
        radial: Tensor,
        cutoff: Tensor | None,
        directed: Tensor,
        ends: Tensor,
        tables: Sequence[Table],
        groups: Groups,
    ) -> list[Tensor]:
        """Features of the atoms after the interaction, one tensor for each irreducible representation."""
        sent = _linear(self._up, features)
        messages = self._messages(sent, radial, cutoff, directed, tables)
        norm = self._norm(radial, cutoff, ends, len(features[0]))
        message = [part / norm for part in _linear(self._down, messages)]
        if not self._residual:
            message = list(_by_element(self._skip, message, groups).values())
        made = self._products(torch.cat(message, dim=1), groups)
        answer = _linear(self._last, made)
        if not self._use_skip:
            return answer
        for target, beside in _by_element(self._skip, features, groups).items():
            answer[target] = answer[target] + beside
        return answer

    def _norm(self, radial: Tensor, cutoff: Tensor | None, ends: Tensor, atoms: int) -> Tensor | float:
        """Number of neighbours to divide by: the training set's mean, or each atom's own soft count."""
        density_fn = getattr(self._block, "density_fn", None)
        if density_fn is None:
            return float(self._block.avg_num_neighbors)
        density = torch.tanh(density_fn(radial) ** 2)
        if cutoff is not None:
            density = density * cutoff
        total = density.new_zeros((atoms, 1))
        total = total.index_add(0, ends[0], density).index_add(0, ends[1], density)
        return (total + 1).unsqueeze(1)

    def _messages(
        self,
        sent: Sequence[Tensor],
        radial: Tensor,
        cutoff: Tensor | None,
        directed: Tensor,
        tables: Sequence[Table],
    ) -> list[Tensor]:
        """Sum over neighbours, for every path, of radial weight x neighbour's feature x direction."""
        hidden = radial
        for layer in self._hidden:
            hidden = layer(hidden)
        if cutoff is not None:
            hidden = hidden * cutoff
        atoms, channels = len(sent[0]), sent[0].shape[2]
        # Places without a neighbour meet zeros, not somebody's numbers: NaN times zero is NaN.
        hidden, sent = _padded(hidden), [_padded(part) for part in sent]
        couplings = [directed @ path.coupling for path in self._paths]
        weights = [hidden @ path.radial for path in self._paths]
        parts: list[list[Tensor]] = [[] for _ in self._sizes]
        for table in tables:
            rows, most = table.shape
            here = {source: sent[source].index_select(0, table.sender) for source in self._sources}
            for path, coupling, weight in zip(self._paths, couplings, weights, strict=True):
                size = self._in_sizes[path.source]
                weighted = weight.index_select(0, table.pair).unsqueeze(1) * here[path.source]
                matrix = coupling.index_select(0, table.edge).view(rows, most * size, -1)
                summed = torch.bmm(matrix.transpose(1, 2), weighted.view(rows, most * size, channels))
                parts[path.target].append(summed)
        nothing = [hidden.new_zeros((atoms, size, channels)) for size in self._sizes]
        if not tables:
            return nothing
        order = torch.cat([table.atoms for table in tables])
        return [
            zeros.index_copy(0, order, torch.cat(found)) for zeros, found in zip(nothing, parts, strict=True)
        ]

    def _products(self, message: Tensor, groups: Groups) -> list[Tensor]:
        """Symmetric contraction of (A, V, C) messages."""
        contraction = self._contraction
        values = message.permute(2, 0, 1).contiguous()
        more = torch.cat([values, torch.ones_like(values[:, :, :1])], dim=2)
        outputs = sum(self._outputs)
        made = []
        for element, atoms in groups.slices:
            here = values[:, atoms]
            own = more[:, atoms]
            pairs = torch.cat([own[:, :, j : j + 1] * own[:, :, j:] for j in range(own.shape[2])], dim=2)
            terms = []
            for number, matrix in enumerate(contraction.coefficients(element)):
                begin = number * contraction.BLOCK
                block = here[:, :, begin : begin + contraction.BLOCK]
                partial = torch.bmm(pairs[:, :, contraction.begins[number] :], matrix)
                partial = partial.view(*block.shape, outputs)
                terms.append((partial * block.unsqueeze(3)).sum(dim=2))
            made.append(torch.stack(terms).sum(dim=0))
        joined = torch.cat(made, dim=1).permute(1, 2, 0).contiguous()
        return list(joined.split(self._outputs, dim=1))


def _padded(rows: Tensor) -> Tensor:
    """Append a row of zeros."""
    return torch.cat([rows, torch.zeros_like(rows[:1])])


def _linear(blocks: Sequence[tuple[list[int], Tensor]], features: Sequence[Tensor]) -> list[Tensor]:
    """Mix channels; features are (A, 2 l + 1, C)."""
    return [
        (features[sources[0]] if len(sources) == 1 else torch.cat([features[i] for i in sources], dim=2))
        @ weight
        for sources, weight in blocks
    ]


def _by_element(
    blocks: Mapping[int, tuple[int, Tensor]], features: Sequence[Tensor], groups: Groups
) -> dict[int, Tensor]:
    """Mix channels with each element's own weights."""
    return {
        target: torch.cat([features[source][atoms] @ weights[element] for element, atoms in groups.slices])
        for target, (source, weights) in sorted(blocks.items())
    }
