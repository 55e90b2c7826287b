"""Pretraining of the finisher on crystals alone: it learns to take noise off positions and cells."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from generator_svc.data.load import load_crystals
from generator_svc.data.table import CrystalTable
from generator_svc.device import resolve_device
from generator_svc.finisher.network import Finisher
from generator_svc.finisher.noise import add_noise
from generator_svc.pretrain.loop import train
from generator_svc.pretrain.processes import Processes, join_processes
from generator_svc.storage.folder import check_inputs, check_run, write_run
from generator_svc.storage.run_settings import FinisherRun
from generator_svc.storage.tensors import load_weights, save_tensors

__all__ = ["FinisherTask", "by_size", "run_finisher"]

_LEVELS = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 2.0, 5.0)
"""Edges, Angstrom, of the noise levels whose validation losses are told apart."""


class FinisherTask:
    """Loss and validation of the finisher."""

    model: Finisher

    def __init__(self, run: FinisherRun, processes: Processes | None = None) -> None:
        processes = processes or Processes(device=resolve_device(run.loop.device))
        self.run = run
        self.device = processes.device
        heaviest = run.model.max_atomic_number
        with processes.first_goes_first():
            self.table = load_crystals(run.data, max_atomic_number=heaviest)
            self.validation = load_crystals(run.data, "validation", max_atomic_number=heaviest)
        torch.manual_seed(run.loop.seed)
        self.model = Finisher(run.model).to(self.device)
        if run.initial_weights is not None:
            load_weights(self.model, run.initial_weights)

    def loss(self, rows: NDArray[np.int64], step: int) -> tuple[Tensor, dict[str, float | Tensor]]:
        """Mean squared error of the noise on positions, and of that on cells, at levels drawn anew."""
        table = self.table.take(rows)
        noise = self._draw_levels(len(table))
        of_positions, of_cells = self._errors(self.model, table, noise)
        positions, cells = of_positions.mean(), of_cells.mean()
        figures: dict[str, float | Tensor] = {"positions": positions.detach(), "cell": cells.detach()}
        return positions + self.run.noise.cell_weight * cells, figures

    @torch.no_grad()
    def validate(self, model: Finisher) -> dict[str, float]:
        """The same on validation crystals with fixed noise: at finishing levels, and within bands of them."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            rows = np.random.default_rng(0).permutation(len(self.validation))[:1024]
            table = self.validation.take(rows)
            noise = self._draw_levels(len(table))
            parts = [
                self._errors(model, table.take(part), noise[torch.from_numpy(part)])
                for part in np.array_split(np.arange(len(table)), max(1, len(table) // 128))
            ]
            positions, cells = (torch.cat(values) for values in zip(*parts, strict=True))
            finishing = noise <= self.run.noise.finishing
            figures = {
                "positions": positions[finishing].mean().item(),
                "cell": cells[finishing].mean().item(),
            }
            for low, high in pairwise(_LEVELS):
                inside = (noise >= low) & (noise < high)
                if inside.any():
                    figures[f"positions_{low:g}_{high:g}"] = positions[inside].mean().item()
                    figures[f"cell_{low:g}_{high:g}"] = cells[inside].mean().item()
            return figures

    def _draw_levels(self, size: int) -> Tensor:
        """(size,) Angstrom: log-uniform over the finishing levels, a share of them over the larger ones."""
        settings = self.run.noise
        uniform = (torch.randperm(size, device=self.device) + torch.rand(size, device=self.device)) / size
        small, middle, large = (
            torch.tensor(level, device=self.device).log()
            for level in (settings.smallest, settings.finishing, settings.largest)
        )
        share = settings.larger_share
        below = small + (middle - small) * uniform / (1 - share)
        if not share:
            return below.exp()
        above = middle + (large - middle) * (uniform - (1 - share)) / share
        return torch.where(uniform < 1 - share, below, above).exp()

    def _errors(self, model: Finisher, table: CrystalTable, noise: Tensor) -> tuple[Tensor, Tensor]:
        """(S,) mean squared errors of the noise on positions and on the cell; 1 for a guess of zero."""
        positions, cells, order = [], [], []
        for rows, numbers, frac, lattice in by_size(table, self.device):
            level = noise[rows]
            noisy = add_noise(frac, lattice, level)
            position, cell = model(numbers, noisy.frac_coords, noisy.lattice, level)
            atoms = numbers.shape[1]
            freedom = 3 * max(1, atoms - 1)
            positions.append((position - noisy.positions).square().sum((1, 2)) / freedom)
            cells.append((cell - noisy.cell).square().sum((1, 2)) / 6)
            order.append(rows)
        back = torch.cat(order).argsort()
        return torch.cat(positions)[back], torch.cat(cells)[back]


def by_size(table: CrystalTable, device: torch.device) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
    """For every atom count: rows (B,), atomic numbers (B, N), coordinates (B, N, 3), cells (B, 3, 3)."""
    for count in np.unique(table.num_atoms):
        rows = np.flatnonzero(table.num_atoms == count)
        atoms = table.offsets[rows][:, None] + np.arange(count)
        yield (
            torch.from_numpy(rows).to(device),
            torch.from_numpy(table.numbers[atoms]).to(device),
            torch.from_numpy(table.frac_coords[atoms]).to(device),
            torch.from_numpy(table.lattices[rows]).to(device),
        )


def run_finisher(run: FinisherRun, directory: Path) -> Path:
    """Train, then write `finisher.safetensors` (averaged) and `run.json` into `directory`.

    A training that the folder holds goes on; one that was begun with other settings or crystals is refused.
    """
    with join_processes(run.loop.device) as processes:
        task = FinisherTask(run, processes)
        inputs = {"crystals": task.table.digest}
        check_inputs(directory, inputs)
        check_run(directory, run)
        if processes.first:
            write_run(directory, run, inputs)
        ema = train(task, run.loop, directory, processes)
        if processes.first:
            save_tensors(directory / "finisher.safetensors", ema.model.state_dict())
    return directory
