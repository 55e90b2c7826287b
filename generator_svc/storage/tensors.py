"""Safetensors files: written atomically, nothing pickled."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from xenolith.errors import FailedPreconditionError, InvalidArgumentError, NotFoundError

__all__ = ["load_weights", "read_tensors", "save_tensors"]


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
    NotFoundError
        There is none.
    InvalidArgumentError
        It is no safetensors file.
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
    FailedPreconditionError
        They are those of another network, or of another size.
    """
    tensors = read_tensors(path)
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:400]
        raise FailedPreconditionError(
            f"the weights in {path} do not fit the settings under [model]: {reason}"
        ) from error
