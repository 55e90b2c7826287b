"""MACE models as data: architecture in JSON, weights in safetensors, and the model made from them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mace  # noqa: F401 - must come before e3nn, whose own tables need a setting that it makes
import numpy as np
import torch
from e3nn import get_optimization_defaults, o3, set_optimization_defaults
from mace import modules
from mace.modules.models import ScaleShiftMACE
from safetensors.torch import load_file, save_file

__all__ = ["CONFIG", "WEIGHTS", "load_model", "save_model"]

CONFIG, WEIGHTS = "config.json", "model.safetensors"

_IRREPS = ("hidden_irreps", "MLP_irreps", "edge_irreps")
_CLASSES = ("interaction_cls", "interaction_cls_first", "readout_cls")
_ARRAYS = ("atomic_energies", "atomic_inter_scale", "atomic_inter_shift")


def save_model(config: dict[str, Any], weights: dict[str, torch.Tensor], folder: Path) -> None:
    """Write a model's constructor arguments and weights.

    Raises
    ------
    ValueError
        If an argument has no place in JSON: the architecture is one this version does not know.
    """
    plain = {name: _plain(name, value) for name, value in config.items()}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG).write_text(json.dumps({"format": 1, "mace": plain}, indent=1) + "\n")
    save_file(
        {name: value.detach().clone().contiguous() for name, value in weights.items()}, folder / WEIGHTS
    )


def load_model(folder: Path, dtype: torch.dtype) -> ScaleShiftMACE:
    """Make the model of a folder.

    Raises
    ------
    ValueError
        If a file is missing or does not fit.
    """
    missing = [name for name in (CONFIG, WEIGHTS) if not (folder / name).is_file()]
    if missing:
        raise ValueError(
            f"{folder} has no {' and no '.join(missing)}: convert the checkpoint first with "
            f"`python -m oracle_svc.calculators.mace.convert CHECKPOINT {folder} --trust`"
        )
    plain = json.loads((folder / CONFIG).read_text())["mace"]
    with _eager(), _default_dtype(dtype):
        model = ScaleShiftMACE(**{name: _rich(name, value) for name, value in plain.items()})
    try:
        model.load_state_dict(load_file(folder / WEIGHTS))
    except RuntimeError as error:
        raise ValueError(f"{folder / WEIGHTS} does not fit {CONFIG}: {error}") from error
    return model.to(dtype).eval()


def _plain(name: str, value: Any) -> Any:
    if name in _IRREPS:
        return None if value is None else str(value)
    if name in _CLASSES:
        return value.__name__
    if name == "gate":
        return next(key for key, function in modules.gate_dict.items() if function is value)
    if isinstance(value, np.ndarray | torch.Tensor):  # noqa: TID251
        return value.tolist()
    try:
        json.dumps(value)
    except TypeError as error:
        raise ValueError(f"the model's {name} cannot be written as data: {error}") from error
    return value


def _rich(name: str, value: Any) -> Any:
    if name in _IRREPS:
        return None if value is None else o3.Irreps(value)
    if name in _CLASSES:
        return _class(value)
    if name == "gate":
        return modules.gate_dict[value]
    return np.array(value) if name in _ARRAYS else value


def _class(name: str) -> type[torch.nn.Module]:
    found = getattr(modules.blocks, name, None)
    if not (isinstance(found, type) and issubclass(found, torch.nn.Module)):
        raise ValueError(f"mace has no block {name}: install the version that made this model")
    return found


@contextmanager
def _eager() -> Iterator[None]:
    """Without TorchScript, whose first passes take over a minute."""
    before = get_optimization_defaults()["jit_script_fx"]
    set_optimization_defaults(jit_script_fx=False)
    try:
        yield
    finally:
        set_optimization_defaults(jit_script_fx=before)


@contextmanager
def _default_dtype(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)
