"""Settings of the trainer process."""

import os
from typing import Annotated

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from xenolith.contract.ports import DEFAULT_PORTS
from xenolith.serving import HopSettings, StackVariable

__all__ = ["TrainerSettings"]


class TrainerSettings(HopSettings):
    """Which services runs use, and where they are kept."""

    model_config = SettingsConfigDict(env_prefix="XENOLITH_TRAINER_")

    generator: Annotated[str, StackVariable("XENOLITH_GENERATOR")] = Field(
        f"127.0.0.1:{DEFAULT_PORTS['generator']}", description="host:port of the generator"
    )
    oracle: Annotated[str, StackVariable("XENOLITH_ORACLE")] = Field(
        f"127.0.0.1:{DEFAULT_PORTS['oracle']}", description="host:port of the oracle"
    )
    runs: str = Field("runs", description="directory of all runs")
    threads: int = Field(
        default_factory=lambda: os.cpu_count() or 1,
        ge=1,
        description="torch threads of the update, part of what makes runs repeat bit by bit; default: all",
    )
    max_queued_runs: int = Field(
        32, ge=1, description="runs at work and waiting for their turn; more are refused"
    )
    disk_reserve_mb: float = Field(
        64.0,
        ge=0,
        description="MiB that a step leaves free on the disk of the runs; else the run fails before it",
    )
    max_run_steps: int = Field(100_000, ge=1, description="most steps of a run")
    max_run_samples: int = Field(
        20_000, ge=1, description="most structures of a step, and of each policy in an evaluation"
    )
    max_bootstrap: int = Field(20_000, ge=100, description="most resamplings for an interval")
    page_port: int | None = Field(
        None, ge=0, le=65535, description="port of the live page; 0 for any free one, default none"
    )
    page_host: str = Field(
        "127.0.0.1", description="address of the live page, which asks for the tokens of the service"
    )
