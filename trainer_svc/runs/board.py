"""TensorBoard files of a run."""

from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from xenolith.contract.evaluations import estimate_of
from xenolith.headlines import PRINCIPAL_HEADLINES
from xenolith.v1 import trainer_pb2

__all__ = ["Board"]

_NUMBERS = ("ratio_deviation", "kl", "clip_fraction", "grad_norm", "loss", "learning_rate")


class Board:
    """Writes step events and evaluations as scalars."""

    def __init__(self, path: Path, first_step: int) -> None:
        """Open the files; what an interrupted run wrote from ``first_step`` on is superseded."""
        self._writer = SummaryWriter(str(path), purge_step=first_step)

    def step(self, event: trainer_pb2.StepEvent) -> None:
        """Write a step."""
        scalars = {"reward/mean": event.reward_mean, "reward/std": event.reward_std}
        scalars |= {f"update/{name}": getattr(event, name) for name in _NUMBERS}
        scalars |= {f"reward/{term.name}": term.mean for term in event.terms}
        scalars |= {f"metrics/{name}": value for name, value in event.metrics.items()}
        scalars |= {f"seconds/{name}": value for name, value in event.timings.items()}
        for name, value in scalars.items():
            self._writer.add_scalar(name, value, event.step)
        self._writer.flush()

    def evaluation(self, step: int, evaluation: trainer_pb2.Evaluation) -> None:
        """Write an evaluation."""
        for metric in PRINCIPAL_HEADLINES:
            share = estimate_of(evaluation, metric.name)
            if share is not None:
                self._writer.add_scalar(f"evaluation/{metric.name}", share.value, step)
        self._writer.flush()

    def close(self) -> None:
        """Close the files."""
        self._writer.close()
