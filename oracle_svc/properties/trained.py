"""Predictors trained here: small ensembles that read a crystal's embedding and its composition.

A predictor is two files of one name:

    <name>.json          what it predicts, of what data, how well; digests of weights and calculator
    <name>.safetensors   float16 weights of the members, and the scale of the features

Where many values are exactly zero (the band gap of metals), a gate decides between zero and the value. Only
numpy is needed to predict: a structure costs microseconds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from oracle_svc.calculators.base import digest_of
from oracle_svc.properties.features import composition_features
from xenolith.bundle import sha256
from xenolith.crystal import CrystalBatch

__all__ = ["FORMAT", "TrainedProperty", "Uncertainty", "forward", "read_trained"]

FORMAT = 1
_CLIP = 6.0
"""Standard deviations beyond which a feature counts no more: far outside the training data."""


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """Predictions of the M members of an ensemble for B structures."""

    values: NDArray[np.float32]
    """(M, B) in the property's unit, the gate not yet applied."""
    gate: NDArray[np.float32] | None
    """(M, B) probability that the value is not zero; None without a gate."""


class TrainedProperty:
    """A trained ensemble as a property.

    Parameters
    ----------
    info
        Contents of the JSON file.
    tensors
        Contents of the safetensors file.
    """

    def __init__(self, info: Mapping[str, Any], tensors: Mapping[str, NDArray[np.floating]]) -> None:
        self.info = info
        self._tensors = {name: tensor.astype(np.float32) for name, tensor in tensors.items()}
        self.name: str = info["name"]
        self.unit: str = info["unit"]
        self.licence: str = f"{info['data']['licence']}; {info['data']['attribution']}"
        self.digest: str = digest_of({"format": FORMAT, "weights": info["weights"]["sha256"]})
        self.embeddings_of: str = info["calculator"]["settings_digest"]
        self._gate_at: float | None = info["gate_at"]

    @property
    def description(self) -> str:
        """The predicted property and the error of its prediction."""
        test = self.info["test"]
        return (
            f"{self.info['description']}; ensemble of {self.info['members']} on embeddings of "
            f"{self.info['calculator']['id']} and composition, test MAE {test['mae']:.3f} {self.unit} "
            f"(mean of the training data: {test['mae_of_mean']:.3f}) on {test['count']} structures"
        ).replace(" ;", ";")

    def predict(self, crystals: CrystalBatch, embeddings: NDArray[np.float32] | None) -> NDArray[np.float64]:
        """Return (B,) values: the members' mean, or zero where their gate is shut."""
        outputs = self.outputs(crystals, embeddings)
        values = outputs.values.mean(axis=0)
        if outputs.gate is not None and self._gate_at is not None:
            values = np.where(outputs.gate.mean(axis=0) > self._gate_at, values, 0.0)
        return np.asarray(values, dtype=np.float64)

    def spread(self, crystals: CrystalBatch, embeddings: NDArray[np.float32] | None) -> NDArray[np.float64]:
        """Return (B,) standard deviation among the members, each behind its own gate."""
        outputs = self.outputs(crystals, embeddings)
        values = outputs.values
        if outputs.gate is not None and self._gate_at is not None:
            values = np.where(outputs.gate > self._gate_at, values, 0.0)
        return np.asarray(values.std(axis=0), dtype=np.float64)

    def outputs(self, crystals: CrystalBatch, embeddings: NDArray[np.float32] | None) -> Outputs:
        """Return what each member says.

        Raises
        ------
        ValueError
            The embeddings are missing or of another length than those it was trained on.
        """
        size = int(self.info["calculator"]["embedding_size"])
        if embeddings is None or embeddings.shape[1:] != (size,):
            raise ValueError(f"{self.name} reads embeddings of {size} numbers")
        composition = composition_features(crystals, self._tensors["element_table"])
        features = np.hstack([embeddings.astype(np.float64), composition])
        return forward(self._tensors, features, gated=self._gate_at is not None)

    @cached_property
    def uncertainty(self) -> Uncertainty:
        """The members' disagreement as a property of its own, `<name>_std`."""
        return Uncertainty(self)


class Uncertainty:
    """Disagreement of an ensemble's members: large where a value should not be trusted."""

    def __init__(self, of: TrainedProperty) -> None:
        self._of = of
        self.name = f"{of.name}_std"
        self.unit = of.unit
        self.description = f"standard deviation of {of.name} among the members of its ensemble"
        self.licence = of.licence
        self.digest = digest_of({"spread_of": of.digest})
        self.embeddings_of = of.embeddings_of

    def predict(self, crystals: CrystalBatch, embeddings: NDArray[np.float32] | None) -> NDArray[np.float64]:
        """Return (B,) standard deviations."""
        return self._of.spread(crystals, embeddings)


def read_trained(manifest: Path) -> TrainedProperty:
    """Read a predictor from its JSON file.

    Raises
    ------
    ValueError
        It is of another format, or its weights are missing or altered.
    """
    try:
        info = json.loads(manifest.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{manifest} is no predictor: {error}") from error
    if info.get("format") != FORMAT:
        raise ValueError(f"{manifest} has format {info.get('format')}; this version reads {FORMAT}")
    weights = manifest.with_suffix(".safetensors")
    if not weights.is_file() or sha256(weights) != info["weights"]["sha256"]:
        raise ValueError(f"{weights} is missing or not what {manifest.name} names: copy both files again")
    return TrainedProperty(info, load_file(weights))


def forward(
    tensors: Mapping[str, NDArray[np.float32]], features: NDArray[np.float64], *, gated: bool
) -> Outputs:
    """Run all members on (B, F) features.

    `tensors` holds `mean` and `scale` (F,), `target` (2,), and for each layer i `weight.i` (M, in, out) and
    `bias.i` (M, 1, out).
    """
    scaled = np.clip((features - tensors["mean"]) / tensors["scale"], -_CLIP, _CLIP).astype(np.float32)
    layers = sum(name.startswith("weight.") for name in tensors)
    hidden: NDArray[np.float32] = scaled[None]
    for layer in range(layers):
        hidden = hidden @ tensors[f"weight.{layer}"] + tensors[f"bias.{layer}"]
        if layer < layers - 1:
            hidden = hidden * _sigmoid(hidden)
    if gated:
        # logaddexp(0, x) is softplus: a gap is not negative.
        values = np.logaddexp(0.0, hidden[..., 1])
        return Outputs(values=values, gate=_sigmoid(hidden[..., 0]))
    centre, width = tensors["target"]
    return Outputs(values=centre + width * hidden[..., 0], gate=None)


def _sigmoid(x: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(x, -60.0, 60.0))))
