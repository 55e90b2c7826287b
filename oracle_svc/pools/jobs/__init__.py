"""Long calculations as jobs: one structure, one calculator, its settings, and a result file that stays.

A job is a folder. Whoever runs it (a process here, SLURM, something of your own) calls `run_job(folder)`;
what the folder then holds is the result, found again by the job's key after any restart.
"""

from oracle_svc.pools.jobs.base import Attempt, JobBackend
from oracle_svc.pools.jobs.folder import Job, JobFolder
from oracle_svc.pools.jobs.pool import JobPool
from oracle_svc.pools.jobs.settings import JobSettings, open_backend

__all__ = ["Attempt", "Job", "JobBackend", "JobFolder", "JobPool", "JobSettings", "open_backend"]
