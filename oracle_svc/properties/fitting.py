"""Fitting the ensemble of a trained property (torch; prediction needs numpy alone)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["FitSettings", "fit"]


@dataclass(frozen=True, kw_only=True)
class FitSettings:
    """How to fit; every member the same, but for its seed."""

    members: int = 4
    hidden: int = 128
    epochs: int = 40
    batch: int = 256
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    dropout: float = 0.1
    seed: int = 0


def fit(
    features: NDArray[np.float64],
    target: NDArray[np.float64],
    settings: FitSettings,
    *,
    gated: bool,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, NDArray[np.floating]]:
    """Fit an ensemble and return its tensors, as `trained.forward` reads them.

    Parameters
    ----------
    features
        (N, F) training features.
    target
        (N,) training values.
    gated
        Learn apart whether the value is zero, and how large it is where it is not.
    progress
        Told epochs done and epochs in all.
    """
    mean, spread = features.mean(axis=0), features.std(axis=0)
    # A feature that never varies says nothing now; unscaled it says little later.
    scale = np.where(spread > 1e-9, spread, 1.0)
    centre, width = float(target.mean()), float(target.std()) or 1.0
    x = torch.from_numpy(np.clip((features - mean) / scale, -6.0, 6.0).astype(np.float32))
    y = torch.from_numpy((target if gated else (target - centre) / width).astype(np.float32))
    members = [
        _member(x, y, settings, member, gated, _Counter(progress, member, settings))
        for member in range(settings.members)
    ]
    tensors = {
        "mean": mean.astype(np.float32),
        "scale": scale.astype(np.float32),
        "target": np.array([centre, width], dtype=np.float32),
    }
    for layer in range(len(members[0])):
        weights = [linear[layer].weight.detach().numpy().T for linear in members]
        biases = [linear[layer].bias.detach().numpy()[None] for linear in members]
        # Half precision halves the file; the error of a value is far below that of the prediction.
        # In C order: safetensors writes the memory of an array as it lies, whatever its strides.
        tensors[f"weight.{layer}"] = np.ascontiguousarray(np.stack(weights), dtype=np.float16)
        tensors[f"bias.{layer}"] = np.ascontiguousarray(np.stack(biases), dtype=np.float16)
    return tensors


def _member(
    x: Tensor, y: Tensor, settings: FitSettings, member: int, gated: bool, tell: Callable[[int], None]
) -> list[nn.Linear]:
    seed = settings.seed * 1000 + member
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers = _layers(x.shape[1], settings.hidden, 2 if gated else 1)
        parameters = [p for layer in layers for p in layer.parameters()]
        optimizer = torch.optim.AdamW(
            parameters, lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        batches = max(1, len(x) // settings.batch)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, settings.learning_rate, total_steps=settings.epochs * batches + 1
        )
        for epoch in range(settings.epochs):
            order = torch.randperm(len(x), generator=generator)
            for rows in order[: batches * settings.batch].chunk(batches):
                loss = _loss(_run(layers, x[rows], settings.dropout), y[rows], gated)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
            tell(epoch + 1)
    return layers


def _layers(inputs: int, hidden: int, outputs: int) -> list[nn.Linear]:
    return [nn.Linear(inputs, hidden), nn.Linear(hidden, hidden), nn.Linear(hidden, outputs)]


def _run(layers: list[nn.Linear], x: Tensor, dropout: float) -> Tensor:
    for layer in layers[:-1]:
        x = F.dropout(F.silu(layer(x)), dropout)
    output: Tensor = layers[-1](x)
    return output


def _loss(output: Tensor, y: Tensor, gated: bool) -> Tensor:
    if not gated:
        return (output[:, 0] - y).abs().mean()
    there = (y != 0).float()
    error = (F.softplus(output[:, 1]) - y).abs()
    magnitude = (error * there).sum() / there.sum().clamp(min=1.0)
    return F.binary_cross_entropy_with_logits(output[:, 0], there) + magnitude


class _Counter:
    """Counts the epochs of all members together."""

    def __init__(
        self, progress: Callable[[int, int], None] | None, member: int, settings: FitSettings
    ) -> None:
        self._progress, self._before = progress, member * settings.epochs
        self._total = settings.members * settings.epochs

    def __call__(self, epoch: int) -> None:
        if self._progress is not None:
            self._progress(self._before + epoch, self._total)
