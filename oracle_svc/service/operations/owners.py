"""Which processes live that may work on operations: each holds a lock on a file of its own.

The system releases the lock however a process ends, so a killed one is known at once and no clock is asked.
"""

from __future__ import annotations

import fcntl
import os
import uuid
from pathlib import Path

__all__ = ["Owner"]


class Owner:
    """One process, this one, as others that share the state folder see it.

    Parameters
    ----------
    folder
        Where the lock files lie; on a file system that all sharing processes see and that locks.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.id = uuid.uuid4().hex
        self._folder = folder
        # Locked before it has its name: nobody ever sees it unlocked while this process lives.
        unnamed = folder / f"{self.id}.new"
        self._descriptor = os.open(unnamed, os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        unnamed.rename(self._path(self.id))

    def is_gone(self, owner: str) -> bool:
        """Whether a process with this id has ended; forgets its file if so."""
        if owner == self.id:
            return False
        try:
            descriptor = os.open(self._path(owner), os.O_RDWR)
        except FileNotFoundError:
            return True
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        else:
            self._path(owner).unlink(missing_ok=True)
            return True
        finally:
            os.close(descriptor)

    def close(self) -> None:
        """Leave."""
        self._path(self.id).unlink(missing_ok=True)
        os.close(self._descriptor)

    def _path(self, owner: str) -> Path:
        return self._folder / f"{owner}.lock"
