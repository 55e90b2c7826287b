"""The lock of a run's folder: one trainer at a time writes a run."""

import fcntl
import json
import os
import socket
from pathlib import Path
from typing import TextIO

from trainer_svc.errors import RunLockedError

__all__ = ["RunLock"]

_NAME = ".lock"


class RunLock:
    """Held from `take` to `release`; the system releases it when the process ends, however it ends."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    @classmethod
    def take(cls, folder: Path) -> "RunLock":
        """Take the lock of a run's folder.

        Raises
        ------
        RunLockedError
            Another trainer works on the run; the message names it.
        """
        # Kept open by whoever holds the lock; not removed, or two could hold locks of two files of one name.
        stream = (folder / _NAME).open("a+", encoding="utf-8")
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            stream.seek(0)
            holder = _holder(stream.read())
            stream.close()
            raise RunLockedError(
                f"run {folder.name!r} is at work in another trainer ({holder}): ask that one, or end it"
            ) from None
        _sign(stream)
        return cls(stream)

    def release(self) -> None:
        """Let others have it."""
        self._stream.close()


def _sign(stream: TextIO) -> None:
    try:
        stream.truncate(0)
        stream.write(json.dumps({"pid": os.getpid(), "host": socket.gethostname()}) + "\n")
        stream.flush()
    except OSError:
        # The signature is for people; a disk that is full does not undo the lock.
        return


def _holder(text: str) -> str:
    try:
        signature = json.loads(text)
        return f"process {signature['pid']} on {signature['host']}"
    except (ValueError, KeyError, TypeError):
        return "it left no signature"
