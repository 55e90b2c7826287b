"""Training of a predictor on a frozen autoencoder's latents, and of what it is compared with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import structlog
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from generator_svc.data.load import DataSettings, load_crystals
from generator_svc.data.table import CrystalTable, DataError
from generator_svc.networks.autoencoder import Autoencoder
from generator_svc.networks.property_head import CompositionHead, PropertyHead
from generator_svc.networks.ragged import Ragged
from generator_svc.predictor.trained import Predictor, atom_features, new_head, save_predictor
from generator_svc.pretrain.loop import train
from generator_svc.pretrain.processes import Processes, join_processes
from generator_svc.storage.finished import load_autoencoder
from generator_svc.storage.folder import (
    RUN_FILE,
    check_inputs,
    check_run,
    read_run,
    write_run,
)
from generator_svc.storage.run_settings import AutoencoderRun, PropertyRun
from generator_svc.storage.weights import weights_digest
from xenolith.bundle import find_bundle

__all__ = [
    "CompositionTask",
    "LatentTask",
    "PropertyData",
    "errors",
    "label_loss",
    "run_property",
    "set_target",
]

log = structlog.get_logger()

_AT_ONCE = 512


class LatentTask:
    """Loss and validation of a predictor that reads latents."""

    model: PropertyHead

    def __init__(self, run: PropertyRun, data: PropertyData, autoencoder: Autoencoder, device: torch.device):
        self.run, self.device, self.autoencoder = run, device, autoencoder
        self.table, self.validation = data.train, data.validation
        torch.manual_seed(run.loop.seed)
        self.model = new_head(run.model, autoencoder).to(device)
        set_target(self.model, data.train.scalars[run.column])
        self._posterior = self._encoded(data.train)
        mean, std = self._statistics()
        self.model.feature_mean.copy_(mean)
        self.model.feature_std.copy_(std)

    def loss(self, rows: NDArray[np.int64], step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Smooth L1 of the standardised labels, on latents drawn from the posterior."""
        table, atoms = self.table.take(rows), torch.from_numpy(self.table.atoms_of(rows))
        mean, log_variance = (part[atoms].to(self.device) for part in self._posterior)
        latents = mean + torch.randn_like(mean) * (log_variance / 2).exp()
        ragged = Ragged(torch.from_numpy(table.num_atoms).to(self.device))
        features = atom_features(self.autoencoder, latents, ragged)
        return label_loss(self.model, self.model(features, ragged), table, self.run.column, self.device), {}

    @torch.no_grad()
    def validate(self, model: PropertyHead) -> dict[str, float]:
        """Errors on the validation crystals."""
        return errors(self.predict(model, self.validation), self.validation.scalars[self.run.column])

    @torch.no_grad()
    def predict(self, model: PropertyHead, table: CrystalTable) -> NDArray[np.float32]:
        """(S,) predictions from posterior means."""
        parts = [self._features(part) for part in _parts(table)]
        return np.concatenate([model.value(features, ragged).cpu().numpy() for features, ragged in parts])

    @torch.no_grad()
    def _features(self, table: CrystalTable) -> tuple[Tensor, Ragged]:
        crystals = table.tensors(self.device)
        mean, _ = self.autoencoder.encode(crystals)
        return atom_features(self.autoencoder, mean, crystals.ragged), crystals.ragged

    @torch.no_grad()
    def _encoded(self, table: CrystalTable) -> tuple[Tensor, Tensor]:
        """Posterior means and log-variances (T, latent_dim) of all atoms: the encoder runs once."""
        found = [self.autoencoder.encode(part.tensors(self.device)) for part in _parts(table)]
        return torch.cat([mean.cpu() for mean, _ in found]), torch.cat([spread.cpu() for _, spread in found])

    @torch.no_grad()
    def _statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and deviation of every plain feature over at most 4,096 training crystals."""
        rows = np.random.default_rng(self.run.loop.seed).permutation(len(self.table))[:4096]
        parts = [self._features(part)[0] for part in _parts(self.table.take(rows))]
        features = torch.cat(parts)[:, : self.model.features]
        return features.mean(0), features.std(0).clamp_min(1e-3)


class CompositionTask:
    """The same for a predictor that sees the composition alone."""

    model: CompositionHead

    def __init__(self, run: PropertyRun, data: PropertyData, device: torch.device):
        self.run, self.device = run, device
        self.table, self.validation = data.train, data.validation
        torch.manual_seed(run.loop.seed)
        self.model = CompositionHead(run.model).to(device)
        set_target(self.model.head, data.train.scalars[run.column])

    def loss(self, rows: NDArray[np.int64], step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Smooth L1 of the standardised labels."""
        table = self.table.take(rows)
        crystals = table.tensors(self.device)
        given = self.model(crystals.numbers, crystals.ragged)
        return label_loss(self.model.head, given, table, self.run.column, self.device), {}

    @torch.no_grad()
    def validate(self, model: CompositionHead) -> dict[str, float]:
        """Errors on the validation crystals."""
        return errors(self.predict(model, self.validation), self.validation.scalars[self.run.column])

    @torch.no_grad()
    def predict(self, model: CompositionHead, table: CrystalTable) -> NDArray[np.float32]:
        """(S,) predictions."""
        found = []
        for part in _parts(table):
            crystals = part.tensors(self.device)
            given = model(crystals.numbers, crystals.ragged)
            found.append((given * model.head.target_std + model.head.target_mean).cpu().numpy())
        return np.concatenate(found)


class PropertyData:
    """Labelled crystals of the three parts.

    Raises
    ------
    DataError
        A part has no labelled crystal, or all training labels are equal.
    """

    def __init__(self, run: PropertyRun, max_atomic_number: int) -> None:
        self.train = _labelled(run, run.data, "train", max_atomic_number)
        self.validation = _labelled(run, run.data, "validation", max_atomic_number)
        test = run.data.model_copy(update={"split": run.test_split, "validation_fraction": None})
        self.test = _labelled(run, test, "train", max_atomic_number)
        if np.ptp(self.train.scalars[run.column]) == 0:
            raise DataError(f"{run.data.path}: all labels of {run.column!r} are equal; nothing can be learnt")


def set_target(head: PropertyHead, labels: NDArray[np.float32]) -> None:
    """Standardise by the training labels."""
    head.target_mean.fill_(float(labels.mean(dtype=np.float64)))
    head.target_std.fill_(float(labels.std(dtype=np.float64)))


def label_loss(
    head: PropertyHead, given: Tensor, table: CrystalTable, column: str, device: torch.device
) -> Tensor:
    """Smooth L1 between predictions and labels, both standardised."""
    labels = head.standardise(torch.from_numpy(table.scalars[column]).to(device))
    return F.smooth_l1_loss(given, labels, beta=0.1)


def errors(given: NDArray[np.float32], labels: NDArray[np.float32]) -> dict[str, float]:
    """Mean absolute and root mean squared error, in the unit of the labels."""
    difference = given.astype(np.float64) - labels.astype(np.float64)
    return {"mae": float(np.abs(difference).mean()), "rmse": float(np.sqrt(np.square(difference).mean()))}


def run_property(run: PropertyRun, directory: Path) -> Path:
    """Train a predictor and its composition-only rival; write both and what they reach on the test part.

    `directory` gets `predictor.json` and `weights.safetensors`, which `xenolith bundle add-predictor` takes.
    A training that it holds goes on; one that was begun with other settings is refused.
    """
    with join_processes(run.loop.device) as processes:
        autoencoder, run = _autoencoder(run)
        check_run(directory, run)
        autoencoder = autoencoder.to(processes.device)
        with processes.first_goes_first():
            data = PropertyData(run, autoencoder.config.max_atomic_number)
        inputs = {"crystals": data.train.digest, "autoencoder": weights_digest(autoencoder.state_dict())}
        check_inputs(directory, inputs)
        if processes.first:
            write_run(directory, run, inputs)
        task = LatentTask(run, data, autoencoder, processes.device)
        rival = CompositionTask(run, data, processes.device)
        head = _trained(task, run, directory, processes)
        composition = _trained(rival, run, directory / "composition_only", processes)
        if processes.first:
            labels = data.test.scalars[run.column]
            figures = {
                "test": errors(task.predict(head, data.test), labels),
                "test_composition_only": errors(rival.predict(composition, data.test), labels),
                "test_mean": errors(np.full(len(labels), data.train.scalars[run.column].mean()), labels),
                "test_median": errors(
                    np.full(len(labels), np.median(data.train.scalars[run.column])), labels
                ),
                "crystals": {"train": len(data.train), "test": len(data.test)},
            }
            log.info("test", column=run.column, **{k: v for k, v in figures.items() if k != "crystals"})
            _save(run, directory, head, autoencoder, figures)
    return directory


def _trained(task: Any, run: PropertyRun, directory: Path, processes: Processes) -> Any:
    model: nn.Module = train(task, run.loop, directory, processes).model
    return model.eval()


def _save(
    run: PropertyRun, directory: Path, head: PropertyHead, autoencoder: Autoencoder, figures: dict[str, Any]
) -> None:
    predictor = Predictor(
        column=run.column, unit=run.unit, head=head, autoencoder=autoencoder, figures=figures
    )
    save_predictor(directory, predictor)


def _autoencoder(run: PropertyRun) -> tuple[Autoencoder, PropertyRun]:
    """The autoencoder of a run's folder or of a bundle, and the run held to the cells it was trained on."""
    folder = Path(run.autoencoder)
    autoencoder = load_autoencoder(folder)
    if (folder / RUN_FILE).exists():
        limit = read_run(folder, AutoencoderRun).data.max_atoms
    else:
        limit = int(find_bundle(run.autoencoder).manifest["max_atoms"])
    if run.data.max_atoms <= limit:
        return autoencoder, run
    log.info("max_atoms", asked=run.data.max_atoms, autoencoder=limit, taken=limit)
    data: DataSettings = run.data.model_copy(update={"max_atoms": limit})
    return autoencoder, run.model_copy(update={"data": data})


def _labelled(run: PropertyRun, data: DataSettings, which: Any, max_atomic_number: int) -> CrystalTable:
    table = load_crystals(data, which, max_atomic_number=max_atomic_number, scalars=[run.column])
    rows = np.flatnonzero(np.isfinite(table.scalars[run.column]))
    if len(rows) == 0:
        part = data.split if which == "train" else data.validation_split
        raise DataError(f"{data.path}: no crystal of part {part!r} has a label {run.column!r}")
    return table.take(rows)


def _parts(table: CrystalTable) -> list[CrystalTable]:
    return [
        table.take(np.arange(start, min(start + _AT_ONCE, len(table))))
        for start in range(0, len(table), _AT_ONCE)
    ]
