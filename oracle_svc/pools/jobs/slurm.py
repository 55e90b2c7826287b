"""Jobs in a SLURM queue, through executorlib: `pip install 'xenolith[slurm]'`.

executorlib writes a submission script and an exchange file per job and calls `sbatch`; what is in the
exchange file is the name of our function and the job's folder. The result is read from the folder, never from
there. The state folder must be on a file system that the nodes see, at the same path, with Xenolith installed
there too.

A job that is queued or runs when the service ends goes on. After a restart it is found by its key: handed
over again, it is the one that is in the queue already.
"""

from __future__ import annotations

import contextlib
import os
import sys
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from oracle_svc.pools.jobs.folder import JobFolder

__all__ = ["TEMPLATE", "SlurmBackend"]

TEMPLATE = """\
#!/bin/bash
#SBATCH --job-name={{job_name}}
#SBATCH --chdir={{working_directory}}
#SBATCH --output={{working_directory}}/log.txt
#SBATCH --ntasks=%CORES%
{%- if run_time_max %}
#SBATCH --time={{ [1, (run_time_max / 60) | round(0, "ceil") | int] | max }}
{%- endif %}
%LINES%

export PYTHONPATH=%PATH%
{{command}}
"""
"""Submission script, filled in by pysqa for each job."""


class SlurmBackend:
    """Hands jobs to SLURM.

    Parameters
    ----------
    exchange
        Folder of executorlib's files; only the user who runs the service may be able to write there.
    sbatch
        Options of `sbatch`, such as `{"partition": "cpu", "mem": "8G", "account": "abc"}`.
    cores
        Tasks of a job: ranks that the code's own command (`mpirun pw.x`, ...) can use.

    Raises
    ------
    ModuleNotFoundError
        executorlib is not installed.
    """

    name = "slurm"
    outlives = True

    def __init__(self, exchange: Path, *, sbatch: dict[str, str] | None = None, cores: int = 1) -> None:
        from executorlib import SlurmClusterExecutor

        self._exchange = exchange.resolve()
        self._exchange.mkdir(parents=True, exist_ok=True, mode=0o700)
        lines = "\n".join(f"#SBATCH --{name}={value}" for name, value in (sbatch or {}).items())
        path = os.pathsep.join(entry for entry in sys.path if entry)
        filled = TEMPLATE.replace("%LINES%", lines).replace("%PATH%", path)
        self._template = filled.replace("%CORES%", str(cores))
        # Not waited for at the end: jobs outlive the service.
        self._executor: Any = SlurmClusterExecutor(
            cache_directory=str(self._exchange), disable_dependencies=True, wait=False, refresh_rate=1.0
        )

    def resources(self, folder: JobFolder, limit_s: float) -> dict[str, Any]:
        """Return the resources of a job, in executorlib's terms."""
        return {
            "cores": 1,  # of our function; the code it calls starts its own ranks
            "cwd": str(folder.path),
            "cache_key": folder.path.name,
            "run_time_max": int(limit_s),
            "submission_template": self._template,
        }

    def submit(self, folder: JobFolder, limit_s: float) -> _Queued:
        """Hand a job over; one that is in the queue already is found again."""
        # Here, since `python -m oracle_svc.pools.jobs.run` must not find itself imported by its own package.
        from oracle_svc.pools.jobs.run import run_job

        for stale in self._exchange.glob(f"{folder.path.name}_o.h5"):
            stale.unlink()  # of an attempt that left no result: it would count as done
        future = self._executor.submit(
            run_job, str(folder.path), resource_dict=self.resources(folder, limit_s)
        )
        return _Queued(future, self._exchange, folder)

    def close(self) -> None:
        """Let go; the queue goes on."""
        self._executor.shutdown(wait=False, cancel_futures=False)


class _Queued:
    def __init__(self, future: Future[str], exchange: Path, folder: JobFolder) -> None:
        self._future, self._exchange, self._folder = future, exchange, folder

    def ended(self) -> str | None:
        """Return how the job ended, according to executorlib."""
        if self._folder.result() is not None:
            return "finished"
        if not self._future.done():
            return None
        error = self._future.exception()
        return "finished" if error is None else f"{type(error).__name__}: {error}"

    def cancel(self) -> None:
        """Take it out of the queue."""
        from executorlib import terminate_task_in_cache

        with contextlib.suppress(FileNotFoundError):
            terminate_task_in_cache(str(self._exchange), self._folder.path.name, backend="slurm")
        self._future.cancel()
        self._folder.clean()

    def pids(self) -> list[int]:
        """It runs elsewhere."""
        return []
