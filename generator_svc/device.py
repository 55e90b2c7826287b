"""Torch devices by name."""

from __future__ import annotations

import torch

from xenolith.errors import InvalidArgumentError

__all__ = ["resolve_device"]


def resolve_device(device: str, local_rank: int | None = None) -> torch.device:
    """Return the torch device of a name; "auto" is a GPU where there is one.

    Raises
    ------
    InvalidArgumentError
        There is no such device.
    """
    name = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    try:
        found = torch.device(name)
    except RuntimeError as error:
        raise InvalidArgumentError(f"device {device!r} is no torch device, such as cpu or cuda:0") from error
    if found.type == "cuda":
        index = found.index if local_rank is None else local_rank
        there = torch.cuda.device_count()
        if (index or 0) >= there:
            raise InvalidArgumentError(f"device {device!r}: this machine has {there} CUDA devices; try cpu")
        return torch.device("cuda", index or 0)
    return found
