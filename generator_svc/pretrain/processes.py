"""The processes of one training: alone, or several under ``torchrun`` that share every batch.

A batch is cut into `LoopSettings.pieces`, each with noise of its own seed, and the processes take them in
turn. So the same settings give the same training, up to the rounding of sums, on any number of processes; on
one, pieces are gradient accumulation.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn

from generator_svc.device import resolve_device
from xenolith.errors import FailedPreconditionError, InvalidArgumentError

__all__ = ["Processes", "join_processes"]

_PATIENCE = timedelta(hours=1)  # the others wait while the first one validates and saves


@dataclass(frozen=True, kw_only=True)
class Processes:
    """One process of a training, and what it does with the others."""

    device: torch.device
    """Where its part is computed."""
    rank: int = 0
    """Its number."""
    count: int = 1
    """How many there are."""

    @property
    def first(self) -> bool:
        """Whether this one averages weights, validates, logs and writes."""
        return self.rank == 0

    def share(self, pieces: int) -> range:
        """Numbers of the pieces that this process takes.

        Raises
        ------
        InvalidArgumentError
            The processes cannot share them evenly.
        """
        if pieces % self.count:
            raise InvalidArgumentError(
                f"loop.pieces is {pieces}, and {self.count} processes cannot share that evenly; "
                f"set it to a multiple of {self.count}"
            )
        return range(self.rank, pieces, self.count)

    def broadcast(self, tensors: Sequence[Tensor]) -> None:
        """Overwrite tensors by those of the first process."""
        if self.count > 1:
            for tensor in tensors:
                dist.broadcast(tensor, src=0)

    def sum_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Sum gradients over the processes, in one message; a missing one counts as zero."""
        if self.count == 1:
            return
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        dist.all_reduce(flat)
        for gradient, total in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(total.view_as(gradient))

    def sum(self, values: Sequence[float]) -> list[float]:
        """Sum numbers over the processes."""
        if self.count == 1:
            return list(values)
        total = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(total)
        return total.tolist()

    def agree_on(self, value: int, what: str) -> None:
        """Check that all processes have the same value.

        Raises
        ------
        FailedPreconditionError
            They have not; says what it is about.
        """
        if self.count > 1:
            mine = torch.tensor(value, device=self.device)
            all_values = [torch.empty_like(mine) for _ in range(self.count)]
            dist.all_gather(all_values, mine)
            if len({int(v) for v in all_values}) > 1:
                raise FailedPreconditionError(
                    f"processes differ in {what}: {[int(v) for v in all_values]}; they need the same data "
                    "and a folder that all of them see"
                )

    @contextmanager
    def first_goes_first(self) -> Iterator[None]:
        """Let the first process do something, such as preparing a file, before the others do it too."""
        if self.count > 1 and not self.first:
            dist.barrier()
        try:
            yield
        finally:
            if self.count > 1 and self.first:
                dist.barrier()


@contextmanager
def join_processes(device: str) -> Iterator[Processes]:
    """Take part in what ``torchrun`` started; alone where it did not.

    Parameters
    ----------
    device
        "cpu", "cuda", "cuda:1" or "auto"; several processes on GPUs take one each.

    Raises
    ------
    InvalidArgumentError
        There is no such device.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    here = resolve_device(device, int(os.environ.get("LOCAL_RANK", "0")) if count > 1 else None)
    if count == 1:
        yield Processes(device=here)
        return
    if here.type == "cuda":
        torch.cuda.set_device(here)
    dist.init_process_group("nccl" if here.type == "cuda" else "gloo", timeout=_PATIENCE)
    try:
        yield Processes(rank=dist.get_rank(), count=count, device=here)
    finally:
        dist.destroy_process_group()
