"""A long calculation where a calculator is expected: for hulls, which are built outside an oracle."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from oracle_svc.pools.calculator_pool import CalculatorPool
from oracle_svc.pools.jobs.settings import JobSettings
from oracle_svc.pools.pooled_calculator import PooledCalculator

__all__ = ["JobCalculator"]


class JobCalculator(PooledCalculator):
    """Evaluates each structure as a job; an oracle with the same state folder finds the results.

    Parameters
    ----------
    name, settings
        As for `oracle_svc.calculators.open_calculator`.
    state
        State folder of the oracle.
    jobs_at_once
        Number of jobs at once.
    limit_s
        Time limit of a structure, seconds.
    """

    def __init__(
        self,
        name: str,
        settings: Mapping[str, Any],
        *,
        state: Path,
        jobs_at_once: int = 1,
        limit_s: float = 14400.0,
    ) -> None:
        jobs = JobSettings(folder=state / "jobs", options={})
        super().__init__(
            CalculatorPool(
                calculator=name, settings=settings, workers=jobs_at_once, structure_limit_s=limit_s, jobs=jobs
            )
        )
