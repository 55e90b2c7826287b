"""Conditions in pretraining: what a table offers, what a crystal carries in a step, weights to start from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import structlog
import torch
from torch import Tensor

from generator_svc.data.table import CrystalTable, DataError
from generator_svc.networks.autoencoder import Autoencoder
from generator_svc.networks.conditions import Conditions, ConditionsConfig, ScalarCondition, conditions_of
from generator_svc.networks.denoiser import Denoiser
from generator_svc.networks.lora import LoraConfig, add_adapter
from generator_svc.networks.ragged import Ragged
from generator_svc.storage.run_settings import ConditionSettings
from generator_svc.storage.tensors import read_tensors
from generator_svc.storage.weights import unpack
from xenolith.errors import InvalidArgumentError

__all__ = [
    "WeightsError",
    "adapt",
    "draw_kept",
    "latents_by_element",
    "learnt_conditions",
    "load_initial_weights",
    "one_kind",
    "table_conditions",
]

log = structlog.get_logger()


class WeightsError(InvalidArgumentError):
    """Weights that do not fit the network they were to start; the message names the tensor and the fix."""


def learnt_conditions(
    settings: ConditionSettings,
    table: CrystalTable,
    max_atomic_number: int = 100,
    known: Mapping[str, ScalarCondition] | None = None,
) -> ConditionsConfig:
    """The embedding's configuration, with each scalar's mean and deviation over its labelled crystals.

    A scalar in `known` keeps the mean and deviation that it was learnt with.

    Raises
    ------
    DataError
        A column has no two different labels in the training split.
    """
    scalars = []
    for name, scalar in settings.scalars.items():
        labels = table.scalars[name][np.isfinite(table.scalars[name])].astype(float)
        if len(np.unique(labels)) < 2:
            raise DataError(f"column {name!r} needs two different labels to be learnt; it has {len(labels)}")
        before = None if known is None else known.get(name)
        mean, std = (labels.mean(), labels.std()) if before is None else (before.mean, before.std)
        scalars.append(ScalarCondition(name=name, unit=scalar.unit, mean=float(mean), std=float(std)))
        log.info("condition", column=name, labelled=len(labels), crystals=len(table))
    return ConditionsConfig(
        composition=settings.composition is not None,
        chemical_system=settings.chemical_system is not None,
        scalars=tuple(scalars),
        max_atomic_number=max_atomic_number,
        element_prior=settings.composition is not None or settings.chemical_system is not None,
    )


def table_conditions(table: CrystalTable, config: ConditionsConfig, device: torch.device) -> Conditions:
    """All that the table's crystals could be conditioned on."""
    columns = [table.scalars[scalar.name] for scalar in config.scalars]
    scalars = np.stack(columns, axis=1) if columns else np.empty((len(table), 0), dtype=np.float32)
    return conditions_of(
        torch.from_numpy(table.numbers).to(device),
        Ragged(torch.from_numpy(table.num_atoms).to(device)),
        torch.from_numpy(scalars).to(device),
        config.max_atomic_number,
    )


@torch.no_grad()
def latents_by_element(
    autoencoder: Autoencoder,
    table: CrystalTable,
    statistics: tuple[Tensor, Tensor],
    elements: int,
    batch: int = 512,
) -> tuple[Tensor, Tensor]:
    """Mean and variance (elements, latent_dim) of each element's normalised latents over a table.

    A variance counts one pseudo-latent at variance 1, so that rare elements do not seem certain; elements
    that the table lacks have mean 0 and variance 1.

    Parameters
    ----------
    autoencoder
        Encodes, on the device that the result is on.
    table
        Training crystals.
    statistics
        Mean and standard deviation (latent_dim,) that normalise latents.
    elements
        Rows of the result, index = atomic number - 1.
    """
    mean, std = statistics
    totals = torch.zeros(3, elements, autoencoder.config.latent_dim, dtype=torch.float64, device=mean.device)
    for start in range(0, len(table), batch):
        crystals = table.take(np.arange(start, min(start + batch, len(table)))).tensors(mean.device)
        centre, log_variance = autoencoder.encode(crystals)
        latents = ((centre - mean) / std).double()
        spread = (log_variance.exp() / std.square()).double()
        rows = crystals.numbers - 1
        for index, value in enumerate((torch.ones_like(latents), latents, latents.square() + spread)):
            totals[index].index_add_(0, rows, value)
    count, first, second = totals
    centre = first / count.clamp_min(1)
    variance = (second - count * centre.square() + 1) / (count + 1)
    return centre.float(), variance.float()


def draw_kept(settings: ConditionSettings, size: int, device: torch.device) -> Tensor:
    """(size, 2 + K) bool, what each crystal of a batch carries where it has it."""
    keep = [settings.composition or 0.0, settings.chemical_system or 0.0]
    keep += [scalar.keep for scalar in settings.scalars.values()]
    conditional = torch.rand(size, 1, device=device) >= settings.unconditional
    return conditional & (torch.rand(size, len(keep), device=device) < torch.tensor(keep, device=device))


def one_kind(conditions: Conditions, kind: str, config: ConditionsConfig) -> tuple[Conditions, Tensor]:
    """Conditions of that kind alone, and (B,) bool, which crystals have it."""
    columns = ["composition", "chemical_system", *(scalar.name for scalar in config.scalars)]
    kept = torch.tensor([[column == kind for column in columns]], device=conditions.scalars.device)
    return conditions.keep(kept), conditions.carried[:, columns.index(kind)]


def load_initial_weights(model: Denoiser, path: Path) -> set[str]:
    """Start from a denoiser's weights; a condition it has not learnt keeps its zero, and a log line says so.

    Returns
    -------
    Names of these conditions.

    Raises
    ------
    WeightsError
        A tensor is missing, unknown or of another shape.
    NotFoundError, InvalidArgumentError
        There is no such file, or it is damaged.
    """
    given = unpack(read_tensors(path))
    wanted = model.state_dict()
    missing, unknown = wanted.keys() - given.keys(), given.keys() - wanted.keys()
    fresh = {module for module in map(_condition_module, wanted) if module} - {
        _condition_module(name) for name in given
    }
    missing = {name for name in missing if _condition_module(name) not in fresh}
    if missing or unknown:
        name = min(missing | unknown)
        fault = "is missing in it" if name in missing else "is not of this run's [model] and [conditions]"
        raise WeightsError(f"initial_weights {path}: tensor {name!r} {fault}")
    for name, value in given.items():
        if value.shape != wanted[name].shape:
            shapes = f"has shape {tuple(value.shape)}, [model] asks for {tuple(wanted[name].shape)}"
            raise WeightsError(f"initial_weights {path}: tensor {name!r} {shapes}")
    model.load_state_dict(given, strict=False)
    log.info("initial weights", path=str(path), tensors=len(given), starting_from_zero=sorted(fresh))
    return fresh


def adapt(model: Denoiser, config: LoraConfig, fresh: set[str], seed: int) -> None:
    """Leave only a low-rank adapter, and the networks of new conditions, to be trained."""
    add_adapter(model, config, seed)
    for name, weight in model.named_parameters():
        if _condition_module(name) in fresh:
            weight.requires_grad_(True)


def _condition_module(name: str) -> str | None:
    """Which condition's network a tensor belongs to: composition, chemical_system or a scalar's name."""
    parts = name.split(".")
    if parts[0] == "element_prior":
        return parts[0]
    if parts[0] != "conditions":
        return None
    return parts[2] if parts[1] == "scalars" else parts[1]
