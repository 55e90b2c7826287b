"""Services that live and do not answer: noticed by the health checks that they miss."""

import time

from xenolith.stack.process import ServiceProcess

__all__ = ["HealthWatch"]

_MOST_BETWEEN_S = 5.0
_FEWEST_CHECKS = 3


class HealthWatch:
    """Watches the health of a service over its restarts.

    Checks that were missed are counted, not the time that went by: where the whole machine stood still, no
    service is to blame.

    Parameters
    ----------
    hang_s
        Seconds of silence after which a service that answered before is taken to hang; 0: never.
    startup_s
        Seconds that a service gets until its first answer.
    """

    def __init__(self, hang_s: float, startup_s: float) -> None:
        self._startup = startup_s
        self._between = min(_MOST_BETWEEN_S, hang_s / _FEWEST_CHECKS)
        self._most = hang_s / self._between if hang_s else float("inf")
        self._of: float | None = None
        self._next, self._missed = 0.0, 0

    def hangs(self, process: ServiceProcess) -> bool:
        """Whether a process that runs hangs; to be asked often, checks when it is time."""
        now = time.monotonic()
        if process.started != self._of:
            self._of, self._missed = process.started, 0
        if self._most == float("inf") or now < self._next:
            return False
        self._next = now + self._between
        if process.answers():
            self._missed = 0
            return False
        self._missed += 1
        return self._missed >= self._most if process.answered else now - process.started > self._startup
