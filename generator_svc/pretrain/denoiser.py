"""Pretraining of the denoiser on the latents of a finished autoencoder."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from generator_svc.data.load import load_crystals
from generator_svc.data.table import CrystalTable
from generator_svc.device import resolve_device
from generator_svc.networks.autoencoder import Autoencoder
from generator_svc.networks.conditions import Conditions
from generator_svc.networks.denoiser import Denoiser
from generator_svc.networks.lora import merged_state
from generator_svc.networks.ragged import Ragged
from generator_svc.networks.schedule import alpha_sigma
from generator_svc.pretrain.autoencoder import shift_origin
from generator_svc.pretrain.condition_columns import (
    adapt,
    draw_kept,
    latents_by_element,
    learnt_conditions,
    load_initial_weights,
    one_kind,
    table_conditions,
)
from generator_svc.pretrain.loop import train
from generator_svc.pretrain.processes import Processes, join_processes
from generator_svc.storage.finished import LATENTS_FILE, load_autoencoder, read_origin
from generator_svc.storage.folder import check_inputs, check_run, write_run
from generator_svc.storage.run_settings import DenoiserRun
from generator_svc.storage.tensors import save_tensors
from generator_svc.storage.weights import weights_digest
from xenolith.errors import InvalidArgumentError
from xenolith.files import write_json

__all__ = ["DenoiserTask", "latent_statistics", "run_denoiser"]

_BANDS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0)
"""Edges of the times whose validation losses are told apart."""


class DenoiserTask:
    """Loss and validation of the denoiser."""

    model: Denoiser

    def __init__(self, run: DenoiserRun, processes: Processes | None = None) -> None:
        processes = processes or Processes(device=resolve_device(run.loop.device))
        self.run = run
        self.device = processes.device
        self.autoencoder = load_autoencoder(run.autoencoder).to(self.device)
        with processes.first_goes_first():
            labels = () if run.conditions is None else tuple(run.conditions.scalars)
            heaviest = self.autoencoder.config.max_atomic_number
            self.table = load_crystals(run.data, max_atomic_number=heaviest, scalars=labels)
            self.validation = load_crystals(
                run.data, "validation", max_atomic_number=heaviest, scalars=labels
            )
        largest = max(int(table.num_atoms.max()) for table in (self.table, self.validation))
        if largest > run.model.max_atoms:
            raise InvalidArgumentError(
                f"{run.data.path} has crystals of {largest} atoms and model.max_atoms is "
                f"{run.model.max_atoms}: raise it, or lower data.max_atoms"
            )
        torch.manual_seed(run.loop.seed)
        origin = None
        if run.initial_weights is not None:
            origin = read_origin(run.initial_weights, self.autoencoder)
        conditions = None
        if run.conditions is not None:
            known = {} if origin is None else origin.scalars
            conditions = learnt_conditions(run.conditions, self.table, heaviest, known)
        if run.model.conditions not in (None, conditions):
            raise InvalidArgumentError("[model.conditions] follows from the data: set [conditions] instead")
        self.model = Denoiser(replace(run.model, conditions=conditions)).to(self.device)
        fresh: set[str] | None = None
        if run.initial_weights is not None:
            fresh = load_initial_weights(self.model, run.initial_weights)
            if run.adapter is not None:
                adapt(self.model, run.adapter, fresh, run.loop.seed)
        # What weights were trained under stays as it was, or they would see every crystal displaced.
        if origin is not None:
            self.mean, self.std = origin.mean.to(self.device), origin.std.to(self.device)
        else:
            self.mean, self.std = latent_statistics(self.autoencoder, self.table, self.device)
        prior = self.model.element_prior
        if prior is not None and (fresh is None or "element_prior" in fresh):
            mean, variance = latents_by_element(
                self.autoencoder, self.table, (self.mean, self.std), len(prior.mean)
            )
            prior.mean.copy_(mean)
            prior.variance.copy_(variance)

    def loss(self, rows: NDArray[np.int64], step: int) -> tuple[Tensor, dict[str, float]]:
        """Mean squared error of the velocity at times stratified over the batch."""
        table = self.table.take(rows)
        latents, ragged = self._latents(table)
        noisy, time, target = self._noisy(latents, ragged, self.run.time_shift)
        conditions = self._conditions(table)
        if conditions is not None and self.run.conditions is not None:
            conditions = conditions.keep(draw_kept(self.run.conditions, ragged.size, self.device))
        return F.mse_loss(self.model(noisy, time, ragged, conditions), target), {}

    @torch.no_grad()
    def validate(self, model: Denoiser) -> dict[str, float]:
        """The same loss on validation crystals, at uniform times, with fixed noise, without conditions.

        `loss_t_A_B` is the part of it at times from A to B: what is decided where.

        For every condition learnt, `loss_KIND` is the loss of the crystals that have it when they carry it
        alone, and `gain_KIND` by what share that is below their loss without it.
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            rows = np.random.default_rng(0).permutation(len(self.validation))[:1024]
            table = self.validation.take(rows)
            latents, ragged = self._latents(table)
            noisy, time, target = self._noisy(latents, ragged)
            error = (model(noisy, time, ragged) - target).square().mean(dim=1)
            figures = {"loss": error.mean().item(), **_by_time(error, ragged.expand(time))}
            conditions = self._conditions(table)
            if conditions is None or model.config.conditions is None:
                return figures
            for kind in model.config.conditions.kinds:
                alone, carrying = one_kind(conditions, kind, model.config.conditions)
                atoms = ragged.expand(carrying)
                if not carrying.any():
                    continue
                with_it = (model(noisy, time, ragged, alone) - target).square().mean(dim=1)[atoms].mean()
                figures[f"loss_{kind}"] = with_it.item()
                figures[f"gain_{kind}"] = (1 - with_it / error[atoms].mean()).item()
            return figures

    def _conditions(self, table: CrystalTable) -> Conditions | None:
        config = self.model.config.conditions
        return None if config is None else table_conditions(table, config, self.device)

    @torch.no_grad()
    def _latents(self, table: CrystalTable) -> tuple[Tensor, Ragged]:
        crystals = table.tensors(self.device)
        if self.run.random_origin:
            crystals = shift_origin(crystals)
        mean, log_variance = self.autoencoder.encode(crystals)
        latents = mean + torch.randn_like(mean) * (log_variance / 2).exp()
        return (latents - self.mean) / self.std, crystals.ragged

    def _noisy(self, latents: Tensor, ragged: Ragged, shift: float = 1.0) -> tuple[Tensor, Tensor, Tensor]:
        """Noisy latents, their times (B,) and the velocity to predict."""
        slots = torch.randperm(ragged.size, device=self.device)
        uniform = (slots + torch.rand(ragged.size, device=self.device)) / ragged.size
        time = shift * uniform / (1 + (shift - 1) * uniform)
        alpha, sigma = (ragged.expand(x[:, None]) for x in alpha_sigma(time))
        eps = torch.randn_like(latents)
        return alpha * latents + sigma * eps, time, alpha * eps - sigma * latents


def _by_time(error: Tensor, time: Tensor) -> dict[str, float]:
    """Mean of the atoms' errors (T,) within bands of their times (T,)."""
    bands = {(low, high): (time >= low) & (time < high) for low, high in pairwise(_BANDS)}
    return {
        f"loss_t_{low:g}_{high:g}": error[inside].mean().item()
        for (low, high), inside in bands.items()
        if inside.any()
    }


@torch.no_grad()
def latent_statistics(
    autoencoder: Autoencoder, table: CrystalTable, device: torch.device, batch: int = 512
) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (latent_dim,) of every channel over the whole table."""
    total = torch.zeros(2, autoencoder.config.latent_dim, dtype=torch.float64, device=device)
    for start in range(0, len(table), batch):
        crystals = table.take(np.arange(start, min(start + batch, len(table)))).tensors(device)
        mean, log_variance = autoencoder.encode(crystals)
        total[0] += mean.double().sum(0)
        total[1] += (mean.double().square() + log_variance.double().exp()).sum(0)
    first, second = total / len(table.numbers)
    return first.float(), (second - first.square()).sqrt().float()


def run_denoiser(run: DenoiserRun, directory: Path) -> Path:
    """Train, then write `denoiser.safetensors` (averaged), `latents.json` and `run.json` into `directory`.

    A training that the folder holds goes on; one that was begun with other settings, crystals or autoencoder
    is refused.
    """
    with join_processes(run.loop.device) as processes:
        task = DenoiserTask(run, processes)
        resolved = run.model_copy(update={"model": task.model.config})
        inputs = {"crystals": task.table.digest, "autoencoder": weights_digest(task.autoencoder.state_dict())}
        check_inputs(directory, inputs)
        check_run(directory, resolved)
        if processes.first:
            write_run(directory, resolved, inputs)
            write_json(directory / LATENTS_FILE, {"mean": task.mean.tolist(), "std": task.std.tolist()})
        ema = train(task, run.loop, directory, processes)
        if processes.first:
            save_tensors(directory / "denoiser.safetensors", merged_state(ema.model))
    return directory
