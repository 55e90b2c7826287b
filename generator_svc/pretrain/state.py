"""Everything that a training needs to go on where it stopped, in one safetensors file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from generator_svc.pretrain.ema import Ema
from generator_svc.pretrain.optimizer import Optimizers
from generator_svc.storage.tensors import read_tensors, save_tensors

__all__ = ["load_state", "save_state"]


def save_state(
    path: Path, step: int, model: nn.Module, ema: Ema[Any], optimizers: Optimizers, *, seconds: float
) -> None:
    """Write everything a run needs to continue at `step`, after so many seconds of training."""
    tensors = {f"model.{k}": v for k, v in model.state_dict().items()}
    tensors |= {f"ema.{k}": v for k, v in ema.model.state_dict().items()}
    tensors |= {f"optimizer.{k}": v for k, v in optimizers.tensors().items()}
    tensors["step"] = torch.tensor(step)
    tensors["seconds"] = torch.tensor(seconds, dtype=torch.float64)
    save_tensors(path, tensors)


def load_state(path: Path, model: nn.Module, ema: Ema[Any], optimizers: Optimizers) -> tuple[int, float]:
    """Restore what `save_state` wrote; returns the step to continue at and the seconds taken until then."""
    tensors = read_tensors(path)
    model.load_state_dict(_below(tensors, "model."))
    ema.model.load_state_dict(_below(tensors, "ema."))
    optimizers.load(_below(tensors, "optimizer."))
    seconds = tensors.get("seconds")  # absent in states of older versions
    return int(tensors["step"]), 0.0 if seconds is None else float(seconds)


def _below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)}
