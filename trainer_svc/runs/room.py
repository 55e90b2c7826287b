"""Room on the disk: looked for before a step, so that its work is not done for nothing."""

import shutil
from pathlib import Path

from trainer_svc.errors import DiskFullError

__all__ = ["check_room"]

_MIB = 2**20


def check_room(folder: Path, checkpoint_bytes: int, reserve_bytes: int) -> None:
    """Raise where a step could not be kept.

    Parameters
    ----------
    folder
        On the disk that is looked at.
    checkpoint_bytes
        What the checkpoint after the step is going to take.
    reserve_bytes
        What is to stay free beside it, for all else that is written.

    Raises
    ------
    DiskFullError
        There is less; says how much is there and how much is needed.
    """
    free = shutil.disk_usage(folder).free
    if free < checkpoint_bytes + reserve_bytes:
        raise DiskFullError(
            f"the disk that holds {folder} has {free / _MIB:.0f} MiB left, and a step needs about"
            f" {checkpoint_bytes / _MIB:.0f} for its checkpoint, with {reserve_bytes / _MIB:.0f} to stay free"
            " (XENOLITH_TRAINER_DISK_RESERVE_MB); free some room and resume the run, which goes on from its"
            " last checkpoint"
        )
