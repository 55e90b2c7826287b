"""The time that a training has taken, over all the sittings that it was done in."""

from __future__ import annotations

import time

__all__ = ["Clock"]


class Clock:
    """Counts on from what earlier sittings took; time for which the process was halted counts too."""

    def __init__(self, seconds: float = 0.0) -> None:
        self._zero = time.monotonic() - seconds

    def seconds(self) -> float:
        """Seconds from the first sitting's start, without the time between sittings."""
        return time.monotonic() - self._zero
