"""Which backend runs jobs, from the oracle's settings."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Final, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from oracle_svc.pools.jobs.base import JobBackend
from oracle_svc.pools.jobs.local import LocalBackend

__all__ = ["ENTRY_POINTS", "JobSettings", "open_backend"]

ENTRY_POINTS: Final = "xenolith.job_backends"
"""Entry points of backends of your own: called with `folder` and the settings, they return a `JobBackend`."""


class _Local(BaseModel):
    model_config = ConfigDict(extra="forbid")
    threads: int = Field(1, ge=1)


class _Slurm(BaseModel):
    model_config = ConfigDict(extra="forbid")
    sbatch: dict[str, str] = Field(default_factory=dict)
    cores: int = Field(1, ge=1)


@dataclass(frozen=True, kw_only=True)
class JobSettings:
    """How long calculations run."""

    folder: Path
    """Where jobs and their results are kept."""
    backend: str = "local"
    """`local`, `slurm`, or the name of an entry point."""
    options: dict[str, Any]
    """Of the backend."""


def open_backend(settings: JobSettings) -> JobBackend:
    """Open a backend by name.

    Raises
    ------
    ValueError
        It is unknown, not installed, or does not take these options.
    """
    try:
        if settings.backend == "local":
            return LocalBackend(**_Local(**settings.options).model_dump())
        if settings.backend == "slurm":
            from oracle_svc.pools.jobs.slurm import SlurmBackend

            return SlurmBackend(settings.folder / "slurm", **_Slurm(**settings.options).model_dump())
        found = entry_points(group=ENTRY_POINTS, name=settings.backend)
        if not found:
            known = ", ".join(["local", "slurm", *sorted(entry_points(group=ENTRY_POINTS).names)])
            raise ValueError(f"no job backend {settings.backend!r}: there are {known}")
        return cast("JobBackend", next(iter(found)).load()(folder=settings.folder, **settings.options))
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise ValueError(f"job backend {settings.backend}: {problems}") from error
    except ModuleNotFoundError as error:
        raise ValueError(
            f"job backend {settings.backend} needs {error.name}, which is not installed: "
            "pip install 'xenolith[slurm]'"
        ) from error
