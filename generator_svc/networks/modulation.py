"""Adaptive layer norms over packed atoms: every atom takes the shift, scale and gate of its condition's row.

Left to autograd, every one of these tensors would be copied out to the atoms, kept for the backward pass and
have its gradient gathered from a copy of that size. Here the parameters stay one row for each condition, and
the backward pass keeps nothing that it can read again.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

__all__ = ["gated_sum", "modulated_norm"]


def modulated_norm(x: Tensor, shift: Tensor, scale: Tensor, rows: Tensor, eps: float = 1e-5) -> Tensor:
    """Layer norm of (T, d), without weights of its own, times 1 + scale, plus shift.

    Parameters
    ----------
    x
        (T, d) float32.
    shift, scale
        (K, d).
    rows
        (T,) which of the K rows is each atom's.
    eps
        Of the norm.
    """
    shift, scale = shift.to(x.dtype), scale.to(x.dtype)
    if torch.compiler.is_compiling():  # the compiler fuses the plain form by itself
        return F.layer_norm(x, x.shape[-1:], eps=eps) * (1 + scale[rows]) + shift[rows]
    result: Tensor = _ModulatedNorm.apply(  # type: ignore[no-untyped-call]
        x, shift, 1 + scale, rows, eps
    )
    return result


def gated_sum(x: Tensor, change: Tensor, gate: Tensor, rows: Tensor) -> Tensor:
    """(T, d) x + gate change, with `gate` (K, d) and `rows` (T,) as in `modulated_norm`."""
    change, gate = change.to(x.dtype), gate.to(x.dtype)
    if torch.compiler.is_compiling():
        return x + gate[rows] * change
    result: Tensor = _GatedSum.apply(x, change, gate, rows)  # type: ignore[no-untyped-call]
    return result


class _ModulatedNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, shift: Tensor, factor: Tensor, rows: Tensor, eps: float) -> Tensor:
        normed, mean, inverse_std = torch.native_layer_norm(x, x.shape[-1:], None, None, eps)
        ctx.save_for_backward(x, mean, inverse_std, factor, rows)
        return normed.mul_(factor.index_select(0, rows)).add_(shift.index_select(0, rows))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, mean, inverse_std, factor, rows = ctx.saved_tensors
        normed = (x - mean).mul_(inverse_std)
        of_shift = _sum_by_row(gradient, rows, len(factor))
        of_factor = _sum_by_row(normed.mul_(gradient), rows, len(factor))
        of_normed = factor.index_select(0, rows).mul_(gradient)
        of_x = torch.ops.aten.native_layer_norm_backward(
            of_normed, x, x.shape[-1:], mean, inverse_std, None, None, [True, False, False]
        )[0]
        return of_x, of_shift, of_factor, None, None


class _GatedSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, change: Tensor, gate: Tensor, rows: Tensor) -> Tensor:
        ctx.save_for_backward(change, gate, rows)
        return gate.index_select(0, rows).mul_(change).add_(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        change, gate, rows = ctx.saved_tensors
        of_change = gate.index_select(0, rows).mul_(gradient)
        of_gate = _sum_by_row(change * gradient, rows, len(gate))
        return gradient, of_change, of_gate, None


def _sum_by_row(values: Tensor, rows: Tensor, size: int) -> Tensor:
    """(size, d) sums of the (T, d) values of each row."""
    return values.new_zeros(size, values.shape[1]).index_add_(0, rows, values)
