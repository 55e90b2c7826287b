"""The training loop both networks share: deterministic data order, EMA, checkpoints, TensorBoard, progress.

Every step's randomness derives from (seed, step), so a run that resumes from a checkpoint sees the same
batches and the same noise as one that was never stopped.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
import structlog
import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter

from generator_svc.pretrain.checkpoint import load_state, save_state, write_json
from generator_svc.pretrain.ema import Ema
from generator_svc.pretrain.settings import LoopSettings

log = structlog.get_logger()


Network = TypeVar("Network", bound=nn.Module)


class Task(Protocol[Network]):
    """What is trained."""

    model: Network
    rows: int
    """Training crystals."""

    def loss(self, rows: np.ndarray, step: int) -> tuple[Tensor, dict[str, float]]:
        """Scalar loss of the given rows, and named figures to log."""
        ...

    def validate(self, model: Network) -> dict[str, float]:
        """Figures of the averaged network on held-out crystals."""
        ...


def batches(rows: int, settings: LoopSettings, start: int) -> Iterator[tuple[int, np.ndarray]]:
    """(step, rows) from step `start` on; each epoch is a permutation derived from (seed, epoch)."""
    per_epoch = steps_per_epoch(rows, settings)
    for epoch in range(start // per_epoch, settings.epochs):
        order = np.random.default_rng([settings.seed, epoch]).permutation(rows)
        for index in range(per_epoch):
            step = epoch * per_epoch + index
            if step >= start:
                yield step, order[index * settings.batch_size : (index + 1) * settings.batch_size]


def steps_per_epoch(rows: int, settings: LoopSettings) -> int:
    """Batches of an epoch; the last, smaller one is dropped unless it is the only one."""
    return max(1, rows // settings.batch_size)


def learning_rate(step: int, total: int, settings: LoopSettings) -> float:
    """Linear warm-up, then a cosine to 1 % of the peak."""
    warm = min(1.0, (step + 1) / max(1, settings.warmup_steps))
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, step / total)))
    return settings.learning_rate * warm * (0.01 + 0.99 * cosine)


def train(task: Task[Network], settings: LoopSettings, directory: Path) -> Ema[Network]:
    """Train until the last epoch, continuing from `directory`'s checkpoint if there is one."""
    if settings.threads:
        torch.set_num_threads(settings.threads)
    directory.mkdir(parents=True, exist_ok=True)
    parameters = [p for p in task.model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=settings.learning_rate, weight_decay=settings.weight_decay)
    ema = Ema(task.model, settings.ema_decay)
    checkpoint = directory / "training.safetensors"
    start = load_state(checkpoint, task.model, ema, optimizer) if checkpoint.exists() else 0
    per_epoch = steps_per_epoch(task.rows, settings)
    total = per_epoch * settings.epochs
    log.info("training", directory=str(directory), start_step=start, total_steps=total, rows=task.rows)
    writer = SummaryWriter(str(directory / "tensorboard"))
    with progress_bar() as bar:
        shown = bar.add_task("training", total=total, completed=start)
        began = time.monotonic()
        for step, rows in batches(task.rows, settings, start):
            torch.manual_seed(hash((settings.seed, step)) & 0x7FFFFFFF)
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(step, total, settings)
            loss, figures = task.loss(rows, step)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            norm = nn.utils.clip_grad_norm_(parameters, settings.grad_clip)
            if torch.isfinite(norm):
                optimizer.step()
                ema.update(task.model, step)
            else:
                log.warning("step skipped: the gradient is not finite", step=step)
            bar.advance(shown)
            if step % 50 == 0:
                figures |= {
                    "loss": loss.item(),
                    "grad_norm": norm.item(),
                    "lr": optimizer.param_groups[0]["lr"],
                }
                _record(writer, "train", figures, step)
                rate = (step - start + 1) / (time.monotonic() - began)
                log.info(
                    "step",
                    step=step,
                    steps_per_s=round(rate, 2),
                    **{k: round(v, 5) for k, v in figures.items()},
                )
            if (step + 1) % settings.checkpoint_every == 0 or step + 1 == total:
                save_state(checkpoint, step + 1, task.model, ema, optimizer)
            if (step + 1) % (per_epoch * settings.validate_every) == 0 or step + 1 == total:
                figures = task.validate(ema.model)
                _record(writer, "validation", figures, step)
                write_json(directory / "validation.json", {"step": step + 1, **figures})
                log.info("validation", step=step + 1, **{k: round(v, 4) for k, v in figures.items()})
    writer.close()
    return ema


def progress_bar() -> Progress:
    """A bar on a terminal; elsewhere it stays silent and the log lines speak."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Progress(*columns)
    bar.disable = not bar.console.is_terminal
    return bar


def _record(writer: SummaryWriter, group: str, figures: dict[str, float], step: int) -> None:
    for name, value in figures.items():
        writer.add_scalar(f"{group}/{name}", value, step)
