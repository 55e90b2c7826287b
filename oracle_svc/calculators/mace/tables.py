"""Tables of a MACE model, computed once: couplings, per-element weights, polynomial coefficients.

All of it is read from the library's own modules, by their weights or by trying them on unit vectors, so that
constants and conventions are theirs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations, product
from typing import Any

import torch
from torch import Tensor

__all__ = ["Contraction", "Path", "element_blocks", "linear_blocks", "paths_of"]


@dataclass(frozen=True, kw_only=True)
class Path:
    """One way in which a neighbour's feature and the direction to it make a message."""

    source: int
    """Index of the neighbour's irrep."""
    target: int
    """Index of the message's irrep."""
    coupling: Tensor
    """(S, d1 * d3): from spherical harmonics to the matrix between the neighbour's and the message's rows."""
    radial: Tensor
    """(H, C): last, linear layer of the radial network, this path's columns."""


def paths_of(interaction: Any) -> Iterator[Path]:
    """Paths of an interaction's convolution, by the message's irreps."""
    convolution = interaction.conv_tp
    ones, twos, outs = convolution.irreps_in1, convolution.irreps_in2, convolution.irreps_out
    like = next(interaction.conv_tp_weights.parameters())
    last = list(interaction.conv_tp_weights.children())[-1]
    radial = last(torch.eye(last.h_in, dtype=like.dtype, device=like.device))
    unit = like.new_ones(convolution.weight_numel)
    for number, step in enumerate(convolution.instructions):
        channels, l1 = ones[step.i_in1].mul, ones[step.i_in1].ir
        rows = like.new_zeros((l1.dim, twos.dim, ones.dim))
        begin = ones.slices()[step.i_in1].start
        for m in range(l1.dim):
            rows[m, :, begin + m] = 1.0
        directions = torch.eye(twos.dim, dtype=like.dtype, device=like.device).expand(l1.dim, -1, -1)
        made = convolution(rows, directions, unit.expand(l1.dim, twos.dim, -1))
        begin = outs.slices()[step.i_out].start
        coupling = made[:, :, begin : begin + outs[step.i_out].ir.dim]  # of the first channel
        yield Path(
            source=step.i_in1,
            target=step.i_out,
            coupling=coupling.permute(1, 0, 2).reshape(twos.dim, -1).contiguous(),
            radial=radial[:, number * channels : (number + 1) * channels].contiguous(),
        )


def linear_blocks(linear: Any) -> list[tuple[list[int], Tensor]]:
    """For each irrep that a linear layer makes, those it is made of and (C of them all, C') weights."""
    steps: dict[int, list[tuple[int, Tensor]]] = {}
    for step, weight in zip(linear.instructions, linear.weight_views(), strict=True):
        steps.setdefault(step.i_out, []).append((step.i_in, weight * step.path_weight))
    return [
        ([source for source, _ in steps[target]], torch.cat([weight for _, weight in steps[target]]))
        for target in range(len(linear.irreps_out))
    ]


def element_blocks(product_layer: Any) -> dict[int, tuple[int, Tensor]]:
    """Source and (elements, C, C') weights of the irreps that a product with one-hot elements makes."""
    ones, outs = product_layer.irreps_in1, product_layer.irreps_out
    found: dict[int, tuple[int, Tensor]] = {}
    for step, weight in zip(product_layer.instructions, product_layer.weight_views(), strict=True):
        probe = weight.new_zeros(ones.dim)
        probe[ones.slices()[step.i_in1].start] = 1.0
        element = weight.new_zeros(product_layer.irreps_in2.dim)
        element[0] = 1.0
        begin, size = outs.slices()[step.i_out].start, outs[step.i_out].ir.dim
        answer = product_layer(probe, element)[begin : begin + size * outs[step.i_out].mul : size]
        largest = int(weight[0, 0].abs().argmax())
        scale = answer[largest] / weight[0, 0, largest]
        if step.i_out in found:
            raise ValueError("a feature of the product comes from several others")
        found[step.i_out] = step.i_in1, (weight * scale).transpose(0, 1).contiguous()
    return found


class Contraction:
    """MACE's symmetric contraction as a polynomial of degree three with coefficients per element and channel.

    With one more variable that is 1, every term is x_k x_i x_j, k <= j <= i. The pairs (i, j) are ordered
    by j, so that those that a k can meet are the last ones; k comes in blocks, for which a matrix product
    over pairs and then a sum over k give all outputs.

    Parameters
    ----------
    layer
        `mace.modules.symmetric_contraction.SymmetricContraction`.

    Raises
    ------
    ValueError
        Its correlation is above three.
    """

    BLOCK = 4

    def __init__(self, layer: Any) -> None:
        parts = list(layer.contractions)
        if max(part.correlation for part in parts) > 3:
            raise ValueError("its correlation is above three")
        self.variables = int(parts[0].U_tensors(1).shape[-2])
        ones = self.variables
        pairs = [(i, j) for j in range(ones + 1) for i in range(j, ones + 1)]
        self.begins = [
            next(row for row, (_, j) in enumerate(pairs) if j >= k) for k in range(0, ones, self.BLOCK)
        ]
        self._parts = [_Part(part, pairs) for part in parts]
        self._coefficients: dict[int, list[Tensor]] = {}

    @torch.no_grad()
    def coefficients(self, element: int) -> list[Tensor]:
        """For each block of k, (C, pairs, k * outputs); worked out when an element is first seen."""
        if element not in self._coefficients:
            every = torch.cat([part.coefficients(element) for part in self._parts], dim=-1)
            blocks = [
                every[:, begin:, k : k + self.BLOCK].flatten(2).contiguous()
                for begin, k in zip(self.begins, range(0, self.variables, self.BLOCK), strict=True)
            ]
            self._coefficients[element] = blocks
        return self._coefficients[element]


class _Part:
    """One output irrep of a contraction."""

    def __init__(self, part: Any, pairs: list[tuple[int, int]]) -> None:
        ones = len({i for i, _ in pairs}) - 1
        place = {pair: row for row, pair in enumerate(pairs)}
        weights = [part.weights_max, *part.weights]
        orders = range(part.correlation, 0, -1)
        columns = []
        for order in orders:
            tensor = part.U_tensors(order)
            shape = (-1, *[ones] * order, tensor.shape[-1])
            columns.append(_folded(tensor.reshape(shape), order, place, ones, len(pairs)))
        self._tensor = torch.cat(columns, dim=-1)  # (pairs, k, outputs, all parameters)
        self._weights = torch.cat([weight.detach() for weight in weights], dim=1)  # (elements, parameters, C)

    def coefficients(self, element: int) -> Tensor:
        """(C, pairs, k, outputs)."""
        return torch.tensordot(self._weights[element], self._tensor, dims=([0], [3]))


def _folded(tensor: Tensor, order: int, place: dict[tuple[int, int], int], ones: int, size: int) -> Tensor:
    """(pairs, k, outputs, parameters): all orderings of a term added up on the one that is kept."""
    folded = tensor.new_zeros((size, ones, tensor.shape[0], tensor.shape[-1]))
    for term in product(range(ones), repeat=order):
        if list(term) != sorted(term):
            continue
        k, j, i = (*term, *[ones] * (3 - order))
        for other in set(permutations(term)):
            terms = tensor
            for index in other:
                terms = terms[:, index]
            folded[place[i, j], k] += terms
    return folded
