"""Pretraining of the autoencoder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Structure
from torch import Tensor

from generator_svc.data.load import load_crystals
from generator_svc.data.table import CrystalTable
from generator_svc.device import resolve_device
from generator_svc.networks.autoencoder import Autoencoder, CrystalTensors
from generator_svc.networks.geometry import metric_to_features
from generator_svc.pretrain.loop import train
from generator_svc.pretrain.processes import Processes, join_processes
from generator_svc.pretrain.reconstruction import reconstruction_terms
from generator_svc.storage.folder import check_inputs, check_run, write_run
from generator_svc.storage.run_settings import AutoencoderRun
from generator_svc.storage.tensors import load_weights, save_tensors

__all__ = [
    "AutoencoderTask",
    "reconstruct",
    "reconstruction_figures",
    "run_autoencoder",
    "shift_origin",
    "structures",
]

_SMALLEST_STD = 1e-3
"""Of a feature of the cells, in logarithms of squared lengths."""


class AutoencoderTask:
    """Loss and validation of the autoencoder."""

    model: Autoencoder

    def __init__(self, run: AutoencoderRun, processes: Processes | None = None) -> None:
        processes = processes or Processes(device=resolve_device(run.loop.device))
        self.run = run
        self.device = processes.device
        with processes.first_goes_first():
            heaviest = run.model.max_atomic_number
            self.table = load_crystals(run.data, max_atomic_number=heaviest)
            self.validation = load_crystals(run.data, "validation", max_atomic_number=heaviest)
        torch.manual_seed(run.loop.seed)
        self.model = Autoencoder(run.model).to(self.device)
        if run.initial_weights is not None:
            load_weights(self.model, run.initial_weights)
        else:
            crystals = self.table.tensors(self.device)
            raw = metric_to_features(crystals.lattice, crystals.ragged.num_atoms)
            self.model.cell_mean.copy_(raw.mean(0))
            # Cubic crystals alone have features that never vary.
            self.model.cell_std.copy_(raw.std(0, correction=0).clamp_min(_SMALLEST_STD))
        if run.freeze_encoder:
            self.model.encoder.requires_grad_(False)

    def loss(self, rows: NDArray[np.int64], step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Reconstruction of both stages plus KL."""
        crystals = shift_origin(self.table.take(rows).tensors(self.device))
        mean, log_variance = self.model.encode(crystals)
        latents = mean + self._noise(mean, log_variance, crystals)
        cell, weights = self.model.cell_features(crystals), self.run.loss
        coarse, refined = self.model.decode_stages(latents, crystals.ragged)
        total = torch.zeros((), device=self.device)
        figures: dict[str, Tensor] = {}
        for name, stage, share in (("coarse", coarse, weights.coarse), ("refined", refined, 1.0)):
            terms = reconstruction_terms(self.model, stage, crystals, cell)
            total = total + share * sum(getattr(weights, term) * value for term, value in terms.items())
            figures |= {f"{name}_{term}": value.detach() for term, value in terms.items()}
        kl = 0.5 * (mean.pow(2) + log_variance.exp() - 1 - log_variance).sum(-1).mean()
        return total + weights.kl * kl, figures | {"kl": kl.detach()}

    def validate(self, model: Autoencoder) -> dict[str, float]:
        """Match rate, RMSD and element accuracy on up to 300 validation crystals."""
        rows = np.random.default_rng(0).permutation(len(self.validation))[:300]
        table = self.validation.take(rows)
        return reconstruction_figures(model, table, self.device)

    def _noise(self, mean: Tensor, log_variance: Tensor, crystals: CrystalTensors) -> Tensor:
        u = torch.rand(crystals.ragged.size, 1, device=self.device)
        scale = crystals.ragged.expand(self.run.noise.max_scale * u.square())
        # The variance is part of the graph: held constant, it would reward latents for growing without end.
        extra = scale.square() * mean.var(0, correction=0)
        return torch.randn_like(mean) * (log_variance.exp() + extra).sqrt()


def shift_origin(crystals: CrystalTensors) -> CrystalTensors:
    """Move every crystal's origin by its own uniform random fraction of the cell."""
    shift = torch.rand(crystals.ragged.size, 3, device=crystals.frac_coords.device)
    moved = torch.remainder(crystals.frac_coords + crystals.ragged.expand(shift), 1.0)
    return CrystalTensors(crystals.ragged, crystals.numbers, moved, crystals.lattice)


def structures(crystals: CrystalTensors) -> list[Structure]:
    """Pymatgen structures of a packed batch."""
    counts = crystals.ragged.num_atoms.tolist()
    numbers = crystals.numbers.cpu().split(counts)
    coords = crystals.frac_coords.cpu().split(counts)
    return [
        Structure(cell.double().numpy(), z.tolist(), f.double().numpy())
        for cell, z, f in zip(crystals.lattice.cpu(), numbers, coords, strict=True)
    ]


@torch.no_grad()
def reconstruct(
    model: Autoencoder, table: CrystalTable, device: torch.device, batch: int = 256
) -> list[Structure]:
    """Encode to the posterior mean and decode."""
    result: list[Structure] = []
    for start in range(0, len(table), batch):
        crystals = table.take(np.arange(start, min(start + batch, len(table)))).tensors(device)
        mean, _ = model.encode(crystals)
        result += structures(model.decode(mean, crystals.ragged))
    return result


def reconstruction_figures(model: Autoencoder, table: CrystalTable, device: torch.device) -> dict[str, float]:
    """Match rates (StructureMatcher 0.2/0.3/5 and CDVAE's 0.3/0.5/10), mean RMSD, element accuracy."""
    truth = structures(table.tensors())
    decoded = reconstruct(model, table, device)
    strict = _rms(truth, decoded, StructureMatcher(ltol=0.2, stol=0.3, angle_tol=5))
    loose = _rms(truth, decoded, StructureMatcher(ltol=0.3, stol=0.5, angle_tol=10))
    matched = [r for r in strict if r is not None]
    same = [a.atomic_numbers == b.atomic_numbers for a, b in zip(truth, decoded, strict=True)]
    right = np.concatenate(
        [np.equal(a.atomic_numbers, b.atomic_numbers) for a, b in zip(truth, decoded, strict=True)]
    )
    return {
        "match_rate": len(matched) / len(truth),
        "match_rate_cdvae": sum(r is not None for r in loose) / len(truth),
        "rmsd": float(np.mean(matched)) if matched else float("nan"),
        "element_accuracy": float(right.mean()),
        "all_elements_right": float(np.mean(same)),
        "n": float(len(truth)),
    }


def _rms(
    truth: Sequence[Structure], decoded: Sequence[Structure], matcher: StructureMatcher
) -> list[float | None]:
    result: list[float | None] = []
    for a, b in zip(truth, decoded, strict=True):
        found = matcher.get_rms_dist(a, b) if a.composition == b.composition else None
        result.append(None if found is None else float(found[0]))
    return result


def run_autoencoder(run: AutoencoderRun, directory: Path) -> Path:
    """Train, then write `autoencoder.safetensors` (averaged weights) and `run.json` into `directory`.

    A training that the folder holds goes on; one that was begun with other settings or crystals is refused.
    """
    with join_processes(run.loop.device) as processes:
        check_run(directory, run)
        task = AutoencoderTask(run, processes)
        inputs = {"crystals": task.table.digest}
        check_inputs(directory, inputs)
        if processes.first:
            write_run(directory, run, inputs)
        ema = train(task, run.loop, directory, processes)
        if processes.first:
            save_tensors(directory / "autoencoder.safetensors", ema.model.state_dict())
    return directory
