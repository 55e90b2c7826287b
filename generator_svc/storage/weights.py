"""How weights are stored in a bundle: small files, and what is stored is what is loaded and measured.

Half precision halves them; single precision keeps a policy that was trained further bit for bit. Eight-bit
integers with a scale for each row of a matrix halve them again, at a relative error of at most 1/254 of a
row's largest weight; vectors stay in half precision.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

__all__ = ["Storage", "pack", "unpack", "weights_digest"]

Storage = Literal["float32", "float16", "int8"]
"""How matrices are stored; in float32 vectors are as well."""
_SCALE = ".scale"
_FEWEST = 4096
"""Smaller matrices are not worth the error."""


def pack(tensors: Mapping[str, Tensor], storage: Storage = "float16") -> dict[str, Tensor]:
    """Tensors as they are stored; those that are not floating-point stay as they are."""
    packed: dict[str, Tensor] = {}
    for name, value in tensors.items():
        if not value.is_floating_point():
            packed[name] = value
        elif storage == "int8" and value.dim() >= 2 and value.numel() >= _FEWEST:
            packed[name], packed[name + _SCALE] = _rows_to_int8(value)
        else:
            packed[name] = value.float() if storage == "float32" else value.half()
    return packed


def unpack(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Float32 tensors of what `pack`, or a training, stored."""
    scales = {name for name in tensors if name.endswith(_SCALE) and name[: -len(_SCALE)] in tensors}
    result: dict[str, Tensor] = {}
    for name, value in tensors.items():
        if name in scales:
            continue
        if name + _SCALE in scales:
            result[name] = value.float() * tensors[name + _SCALE].float()
        else:
            result[name] = value.float() if value.is_floating_point() else value
    return result


def weights_digest(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of tensors and their names."""
    digest = hashlib.sha256()
    for name, value in sorted(tensors.items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _rows_to_int8(value: Tensor) -> tuple[Tensor, Tensor]:
    """Integers of the tensor's shape, and a scale that broadcasts over all but the first dimension."""
    others = tuple(range(1, value.dim()))
    scale = (value.abs().amax(dim=others, keepdim=True) / 127).clamp_min(torch.finfo(torch.float32).tiny)
    return (value / scale).round().clamp(-127, 127).to(torch.int8), scale.float()
