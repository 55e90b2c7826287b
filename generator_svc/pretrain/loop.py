"""The training loop that the networks share: averaging, checkpoints, TensorBoard, progress, many processes.

Every step's randomness derives from (seed, step, piece), so a run that resumes from a checkpoint sees the
same batches and the same noise as one that was never stopped, and a batch's noise does not depend on how many
processes share it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
import structlog
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from generator_svc.data.table import CrystalTable
from generator_svc.device import resolve_device
from generator_svc.pretrain.batches import batches, piece_of, seed_of, steps_per_epoch
from generator_svc.pretrain.clock import Clock
from generator_svc.pretrain.ema import Ema
from generator_svc.pretrain.optimizer import BLOCKS, make_optimizers
from generator_svc.pretrain.processes import Processes
from generator_svc.pretrain.record import Record
from generator_svc.pretrain.state import load_state, save_state
from generator_svc.storage.folder import STATE_FILE
from generator_svc.storage.run_settings import LoopSettings
from xenolith.errors import FailedPreconditionError

__all__ = ["Figures", "Network", "Task", "Trainer", "compile_blocks", "learning_rate", "train"]

log = structlog.get_logger()

_LOG_EVERY = 50
_HOPELESS = 100
_SAVE_EVERY_SECONDS = 60.0
"""Of a training by the clock."""

Network = TypeVar("Network", bound=nn.Module)
Figures = Mapping[str, float | Tensor]


class Task(Protocol[Network]):
    """A network to train, its loss and its data."""

    model: Network
    table: CrystalTable
    """Training crystals."""

    def loss(self, rows: NDArray[np.int64], step: int) -> tuple[Tensor, Figures]:
        """Scalar loss, a mean over the given rows, and named figures to log."""
        ...

    def validate(self, model: Network) -> dict[str, float]:
        """Figures of the averaged network on held-out crystals."""
        ...


class Trainer:
    """Takes the steps of one training in one process.

    Raises
    ------
    InvalidArgumentError
        The processes cannot share the batches.
    """

    def __init__(self, task: Task[Network], settings: LoopSettings, processes: Processes) -> None:
        self.task, self.settings, self.processes = task, settings, processes
        self.pieces = processes.share(settings.pieces)
        self.parameters = [p for p in task.model.parameters() if p.requires_grad]
        self.optimizers = make_optimizers(
            task.model, settings.optimizer, rate=settings.learning_rate, weight_decay=settings.weight_decay
        )
        self.total: int | None = None
        if settings.minutes is None:
            self.total = steps_per_epoch(len(task.table), settings) * settings.epochs
        self.clock = Clock()
        self._saved = 0.0
        self._skipped = 0

    def passed(self, step: int) -> float:
        """Share of the training that lies behind before this step, 1 at its end; every process has to ask."""
        if self.total is not None:
            return step / self.total
        minutes = self.clock.seconds() / 60 if self.processes.first else 0.0
        return min(1.0, self.processes.sum([minutes])[0] / (self.settings.minutes or math.inf))

    def gradient(self, rows: NDArray[np.int64], step: int) -> dict[str, float | Tensor]:
        """Accumulate the gradient of a batch over pieces and processes; returns this process's figures."""
        settings, figures = self.settings, dict[str, float | Tensor]()
        self.optimizers.zero_grad()
        for piece in self.pieces:
            part = piece_of(rows, piece, settings.pieces)
            if len(part) == 0:
                continue
            share = len(part) / len(rows)
            torch.manual_seed(seed_of(settings.seed, step, piece))
            with torch.autocast(
                self.processes.device.type, torch.bfloat16, enabled=settings.precision == "bfloat16"
            ):
                loss, of_part = self.task.loss(part, step)
            (loss * share).backward()
            for name, value in {**of_part, "loss": loss.detach()}.items():
                figures[name] = figures.get(name, 0.0) + share * value
        self.processes.sum_gradients(self.parameters)
        return figures

    def state_due(self, step: int) -> bool:
        """Whether the state is to be saved now that so many steps are taken."""
        if self.settings.minutes is None:
            return step % self.settings.checkpoint_every == 0
        now = self.clock.seconds()
        if now - self._saved < _SAVE_EVERY_SECONDS:
            return False
        self._saved = now
        return True

    def step(
        self, rows: NDArray[np.int64], step: int, passed: float
    ) -> tuple[bool, dict[str, float | Tensor]]:
        """Take one step, `passed` of the training behind it; whether it was taken, and its figures.

        Raises
        ------
        FailedPreconditionError
            Many steps in a row had no finite gradient.
        """
        self.optimizers.set_rate(learning_rate(step, passed, self.settings))
        figures = self.gradient(rows, step)
        norm = nn.utils.clip_grad_norm_(self.parameters, self.settings.grad_clip)
        taken = bool(torch.isfinite(norm))
        if taken:
            self.optimizers.step()
        self._skipped = 0 if taken else self._skipped + 1
        if self._skipped >= _HOPELESS:
            raise FailedPreconditionError(
                f"the last {_HOPELESS} steps up to {step} had no finite gradient: start anew with a lower "
                "loop.learning_rate, or go on with loop.precision float32"
            )
        return taken, figures

    def summed(self, figures: Figures, step: int, passed: float) -> dict[str, float]:
        """Figures of the whole batch; every process has to ask."""
        names = sorted(figures)
        values = self.processes.sum([float(figures[name]) for name in names])
        norms = [p.grad.norm() for p in self.parameters if p.grad is not None]
        clipped = torch.stack(norms).norm().item() if norms else 0.0
        rate = learning_rate(step, passed, self.settings)
        return dict(zip(names, values, strict=True)) | {"clipped_grad_norm": clipped, "lr": rate}


def learning_rate(step: int, passed: float, settings: LoopSettings) -> float:
    """Linear warm-up, then a cosine to 1 % of the peak as the share `passed` of the training goes to 1."""
    warm = min(1.0, (step + 1) / max(1, settings.warmup_steps))
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, passed)))
    return settings.learning_rate * warm * (0.01 + 0.99 * cosine)


def train(
    task: Task[Network], settings: LoopSettings, directory: Path, processes: Processes | None = None
) -> Ema[Network]:
    """Train until the last epoch or minute, continuing from `directory`'s checkpoint if there is one.

    Returns the averaged weights; only the first process has averaged them.
    """
    processes = processes or Processes(device=resolve_device(settings.device))
    if settings.threads:
        torch.set_num_threads(settings.threads)
    directory.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(task, settings, processes)
    ema = Ema(task.model, settings.ema_decay)
    checkpoint = directory / STATE_FILE
    start = 0
    if checkpoint.exists():
        start, seconds = load_state(checkpoint, task.model, ema, trainer.optimizers)
        trainer.clock = Clock(seconds)
    processes.agree_on(start, f"the step to go on from in {directory}")
    processes.agree_on(len(task.table), "the number of training crystals")
    processes.broadcast([*task.model.parameters(), *task.model.buffers()])
    if settings.compile:
        compile_blocks(task.model)
    record = Record(directory, start, trainer.total, enabled=processes.first)
    if processes.first:
        _tell_start(trainer, directory, start)
    validate_every = steps_per_epoch(len(task.table), settings) * settings.validate_every
    passed = trainer.passed(start)
    with record:
        for step, rows in batches(task.table.num_atoms, settings, start):
            if passed >= 1:
                break
            taken, figures = trainer.step(rows, step, passed)
            if not taken:
                log.warning("step skipped: the gradient is not finite", step=step)
            elif processes.first:
                ema.update(task.model, step)
            record.advance()
            if step % _LOG_EVERY == 0:
                record.training(trainer.summed(figures, step, passed), step)
            passed = trainer.passed(step + 1)
            last = passed >= 1
            if processes.first and (trainer.state_due(step + 1) or last):
                seconds = trainer.clock.seconds()
                save_state(checkpoint, step + 1, task.model, ema, trainer.optimizers, seconds=seconds)
            if processes.first and ((step + 1) % validate_every == 0 or last):
                record.validation(task.validate(ema.model), step)
    return ema


def _tell_start(trainer: Trainer, directory: Path, start: int) -> None:
    log.info(
        "training",
        directory=str(directory),
        start_step=start,
        total_steps=trainer.total,
        minutes=trainer.settings.minutes,
        crystals=len(trainer.task.table),
        processes=trainer.processes.count,
        device=str(trainer.processes.device),
    )


def compile_blocks(model: nn.Module) -> None:
    """Compile every transformer block: most of the work, and the part whose code is the same everywhere."""
    for module in model.modules():
        if isinstance(module, BLOCKS):
            module.compile(dynamic=True)
