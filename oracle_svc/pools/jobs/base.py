"""The interface of backends that run jobs: one protocol, one file per backend."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from oracle_svc.pools.jobs.folder import JobFolder

__all__ = ["PARENT", "Attempt", "JobBackend"]

PARENT = "XENOLITH_JOB_PARENT"
"""Variable with the process that a job on this machine is not to outlive."""


class Attempt(Protocol):
    """One job that was handed over."""

    def ended(self) -> str | None:
        """How it ended, for people; None while it waits or runs. Whether it succeeded is in its folder."""
        ...

    def cancel(self) -> None:
        """End it with everything that it started, and return when nothing of it writes any more."""
        ...

    def pids(self) -> list[int]:
        """Processes on this machine, none for one that runs elsewhere."""
        ...


@runtime_checkable
class JobBackend(Protocol):
    """Runs `oracle_svc.pools.jobs.run.run_job` on a job's folder, somewhere."""

    @property
    def name(self) -> str:
        """Short name, for log lines."""
        ...

    @property
    def outlives(self) -> bool:
        """Whether its jobs go on when the service ends."""
        ...

    def submit(self, folder: JobFolder, limit_s: float) -> Attempt:
        """Hand a job over, and return at once.

        Parameters
        ----------
        folder
            Written already; the backend's processes must see it.
        limit_s
            Longest time it may run, seconds. The caller cancels it then; a queue may want to know before.

        Raises
        ------
        OSError, ValueError
            It could not be handed over; the message says why.
        """
        ...

    def close(self) -> None:
        """Let go. Jobs on this machine end; those of a queue go on."""
        ...
