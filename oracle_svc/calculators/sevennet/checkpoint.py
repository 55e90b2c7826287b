"""SevenNet-l3i5 as its wheel brings it: verified, and read without running what a pickle holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from sevenn._const import SEVENNET_l3i5
from sevenn.checkpoint import SevenNetCheckpoint, _config_cp_routine

from xenolith.bundle import sha256

__all__ = ["SHA256", "build_model", "read_checkpoint"]

SHA256: Final = "a7ff190d41efe5b8317a03d20a468e4036a1a3e64e0b14fdbab64ac3f4bfc09d"
"""Of the file of SevenNet-l3i5 in `sevenn` 0.13.0."""


def read_checkpoint() -> dict[str, Any]:
    """Return the checkpoint: `config` and `model_state_dict`.

    Raises
    ------
    ValueError
        The installed weights are not the published ones.
    """
    path = Path(SEVENNET_l3i5)
    if not path.is_file():
        raise ValueError(f"{path} is missing: install sevenn 0.13.0 anew")
    if (digest := sha256(path)) != SHA256:
        raise ValueError(f"{path} has SHA-256 {digest}, not the published {SHA256}: install sevenn 0.13.0")
    # Its settings hold numpy arrays, saved by numpy 1: these names alone are let in, and run no foreign code.
    core = np._core.multiarray  # type: ignore[attr-defined]
    known: list[Any] = [
        (core._reconstruct, "numpy.core.multiarray._reconstruct"),
        (core.scalar, "numpy.core.multiarray.scalar"),
        np.ndarray,  # noqa: TID251
        np.dtype,
        *(np.dtypes.Float64DType, np.dtypes.Float32DType, np.dtypes.Int64DType),
    ]
    with torch.serialization.safe_globals(known):
        checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return checkpoint


class _Read(SevenNetCheckpoint):  # type: ignore[misc]  # the library has no types
    """SevenNet's own way from a checkpoint to a model, after our way of reading the file."""

    def _load(self) -> None:
        checkpoint = read_checkpoint()
        self._config = _config_cp_routine(checkpoint["config"])
        self._model_state_dict = checkpoint["model_state_dict"]
        self._loaded = True


def build_model() -> tuple[Any, dict[int, int], float]:
    """Return the model without its force module, rows of its atomic numbers, and its cutoff in Angstrom.

    Forces are derivatives by the edges, which whoever wants them takes: without the module nothing is kept
    for them.
    """
    read = _Read(SEVENNET_l3i5)
    config = read.config
    model = read.build_model()
    model.delete_module_by_key("force_output")
    model.key_grad = None
    model.eval_type_map = False
    model.set_is_batch_data(True)
    model.eval()
    return model, dict(config["_type_map"]), float(config["cutoff"])
