"""Transformer blocks over packed atoms. None sees an atom's index: all are permutation-equivariant."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from generator_svc.networks.modulation import gated_sum, modulated_norm
from generator_svc.networks.ragged import Ragged

__all__ = ["AdaptiveBlock", "Attention", "Block", "attention_mask", "feed_forward"]


def attention_mask(ragged: Ragged) -> Tensor | None:
    """(B, 1, 1, M) additive mask of the empty slots, or None when there are none."""
    if ragged.uniform:
        return None
    blocked = ~ragged.mask[:, None, None, :]
    return torch.zeros(blocked.shape, device=blocked.device).masked_fill(blocked, -1e9)


class Attention(nn.Module):
    """Multi-head self-attention within each structure of a packed batch."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, ragged: Ragged, bias: Tensor | None) -> Tensor:
        """(T, d) to (T, d); `bias` broadcasts to (B, heads, M, M), and None is without padding."""
        qkv = self.qkv(x)
        if bias is not None:
            return self.out(ragged.pack(self._mix(ragged.pad(qkv), bias)))
        if ragged.uniform:
            return self.out(self._mix(ragged.pad(qkv)).flatten(0, 1))
        parts = qkv.split([structures * atoms for structures, atoms in ragged.runs])
        mixed = [
            self._mix(part.view(structures, atoms, -1)).flatten(0, 1)
            for part, (structures, atoms) in zip(parts, ragged.runs, strict=True)
        ]
        return self.out(torch.cat(mixed))

    def _mix(self, qkv: Tensor, bias: Tensor | None = None) -> Tensor:
        """(B, M, 3 d) to (B, M, d)."""
        batch, slots, _ = qkv.shape
        query, key, value = qkv.view(batch, slots, 3, self.heads, -1).unbind(2)
        if bias is not None:
            bias = bias.to(query.dtype)
        mixed = F.scaled_dot_product_attention(
            query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2), attn_mask=bias
        )
        return mixed.transpose(1, 2).reshape(batch, slots, -1)


def feed_forward(width: int, ratio: int = 4) -> nn.Sequential:
    """Two linear layers with a GELU between them."""
    return nn.Sequential(
        nn.Linear(width, ratio * width), nn.GELU(approximate="tanh"), nn.Linear(ratio * width, width)
    )


class Block(nn.Module):
    """Pre-norm transformer block whose attention is biased by pair features."""

    def __init__(self, width: int, heads: int, pair_features: int = 0) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.mlp = feed_forward(width)
        self.pair_bias = nn.Linear(pair_features, heads) if pair_features else None

    def forward(self, x: Tensor, ragged: Ragged, mask: Tensor | None, pairs: Tensor | None = None) -> Tensor:
        """(T, d) to (T, d). `pairs` is (B, M, M, pair_features) when the block was built for it."""
        bias = mask
        if self.pair_bias is not None:
            pair = self.pair_bias(pairs).permute(0, 3, 1, 2)
            bias = pair if mask is None else pair + mask
        x = x + self.attention(self.norm1(x), ragged, bias)
        return x + self.mlp(self.norm2(x))


class AdaptiveBlock(nn.Module):
    """DiT block: layer norms modulated by a per-structure condition, adaLN-Zero (arXiv 2212.09748)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, elementwise_affine=False)
        self.norm2 = nn.LayerNorm(width, elementwise_affine=False)
        self.attention = Attention(width, heads)
        self.mlp = feed_forward(width)
        self.modulation = nn.Linear(width, 6 * width)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)

    def forward(
        self, x: Tensor, conditions: Tensor, rows: Tensor, ragged: Ragged, mask: Tensor | None
    ) -> Tensor:
        """(T, d), conditions (K, d) and the row of them that is each atom's (T,) to (T, d).

        `mask` is what `attention_mask` says. It is needed in compiled code, whose shapes have to stay from
        batch to batch, and on accelerators, where an attention for each atom count would be a launch each.
        """
        if x.device.type == "cpu" and not torch.compiler.is_compiling():
            mask = None
        parts = self.modulation(F.silu(conditions)).chunk(6, dim=-1)
        shift1, scale1, gate1, shift2, scale2, gate2 = parts
        normed = modulated_norm(x, shift1, scale1, rows, self.norm1.eps)
        x = gated_sum(x, self.attention(normed, ragged, mask), gate1, rows)
        normed = modulated_norm(x, shift2, scale2, rows, self.norm2.eps)
        return gated_sum(x, self.mlp(normed), gate2, rows)
