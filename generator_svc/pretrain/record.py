"""Progress of a training: a bar on a terminal, log lines elsewhere, TensorBoard files."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import structlog
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch.utils.tensorboard import SummaryWriter

from xenolith.files import without_nan, write_json

__all__ = ["Record", "progress_bar"]

log = structlog.get_logger()


class Record:
    """Tells how a training goes; nothing unless enabled."""

    def __init__(self, directory: Path, start: int, total: int | None, *, enabled: bool) -> None:
        self._directory, self._start, self._enabled = directory, start, enabled
        self._bar = progress_bar()
        self._bar.disable = self._bar.disable or not enabled
        self._shown = self._bar.add_task("training", total=total, completed=start)
        # Steps after the checkpoint are taken anew, and are not to be in the curves twice.
        self._writer = SummaryWriter(str(directory / "tensorboard"), purge_step=start) if enabled else None
        self._began = time.monotonic()

    def __enter__(self) -> None:
        self._bar.start()

    def __exit__(self, *_: object) -> None:
        self._bar.stop()
        if self._writer is not None:
            self._writer.close()

    def advance(self) -> None:
        """One more step was taken."""
        self._bar.advance(self._shown)

    def training(self, figures: Mapping[str, float], step: int) -> None:
        """Tell the figures of a step."""
        rate = (step - self._start + 1) / (time.monotonic() - self._began)
        self._tell("step", "train", {**figures, "steps_per_s": rate}, step)

    def validation(self, figures: Mapping[str, float], step: int) -> None:
        """Tell and keep the figures of a validation."""
        self._tell("validation", "validation", figures, step)
        if self._enabled:
            write_json(self._directory / "validation.json", without_nan({"step": step + 1, **figures}))

    def _tell(self, event: str, group: str, figures: Mapping[str, float], step: int) -> None:
        if self._writer is None:
            return
        for name, value in figures.items():
            self._writer.add_scalar(f"{group}/{name}", value, step)
        log.info(event, step=step, **{name: round(value, 5) for name, value in figures.items()})


def progress_bar() -> Progress:
    """A bar on a terminal; elsewhere it stays silent and the log lines speak."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Progress(*columns)
    bar.disable = not bar.console.is_terminal
    return bar
