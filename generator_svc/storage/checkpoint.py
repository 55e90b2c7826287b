"""Training state and weights on disk, written atomically, nothing pickled."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from generator_svc.pretrain.ema import Ema
from generator_svc.pretrain.optimizer import Optimizers
from xenolith.errors import FailedPreconditionError, InvalidArgumentError, NotFoundError


def save_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write a safetensors file so that a reader sees the old one or the new one, never half."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(path.suffix + ".tmp")
    save_file({name: value.detach().cpu().contiguous() for name, value in tensors.items()}, temporary)
    temporary.replace(path)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file.

    Raises
    ------
    NotFoundError : there is none.
    InvalidArgumentError : it is no safetensors file.
    """
    if not path.is_file():
        raise NotFoundError(f"there is no file {path}")
    try:
        return load_file(path)
    except SafetensorError as error:
        raise InvalidArgumentError(f"{path} is no safetensors file, or a damaged one: {error}") from error


def load_weights(model: nn.Module, path: Path) -> None:
    """Load a network's weights.

    Raises
    ------
    FailedPreconditionError : they are those of another network, or of another size.
    """
    tensors = read_tensors(path)
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:400]
        raise FailedPreconditionError(
            f"the weights in {path} do not fit the settings under [model]: {reason}"
        ) from error


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
