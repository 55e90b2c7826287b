"""A job's folder: `job.json`, then `log.txt` and `scratch/` while it runs, then `result.json`.

Files are replaced as a whole or not at all, so that what is there is right whenever a process was killed.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from oracle_svc.calculators.base import digest_of
from xenolith.crystal import Crystal

__all__ = ["FORMAT", "Job", "JobFolder"]

FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class Job:
    """One structure, one calculator, its settings."""

    calculator: str
    """Name for `oracle_svc.calculators.open_calculator`."""
    settings: Mapping[str, Any]
    """Its settings, JSON values."""
    calculator_digest: str
    """Its `settings_digest`: the code's version is in it."""
    crystal: Crystal
    with_forces: bool

    @property
    def key(self) -> str:
        """SHA-256 (hex) of everything that the result depends on."""
        content = hashlib.sha256()
        for array in (self.crystal.lattice, self.crystal.numbers, self.crystal.frac_coords):
            content.update(np.ascontiguousarray(array).tobytes())
        return digest_of(
            {
                "calculator": self.calculator_digest,
                "crystal": content.hexdigest(),
                "forces": self.with_forces,
            }
        )

    def document(self) -> dict[str, Any]:
        """JSON for `job.json`."""
        return {
            "format": FORMAT,
            "key": self.key,
            "calculator": self.calculator,
            "settings": dict(self.settings),
            "calculator_digest": self.calculator_digest,
            "with_forces": self.with_forces,
            "crystal": {
                "lattice": self.crystal.lattice.tolist(),
                "numbers": self.crystal.numbers.tolist(),
                "frac_coords": self.crystal.frac_coords.tolist(),
            },
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Job:
        """The job in a `job.json`; floats survive JSON bit by bit."""
        crystal = document["crystal"]
        return cls(
            calculator=document["calculator"],
            settings=document["settings"],
            calculator_digest=document["calculator_digest"],
            with_forces=document["with_forces"],
            crystal=Crystal(
                lattice=np.array(crystal["lattice"]),
                numbers=np.array(crystal["numbers"], dtype=np.int32),
                frac_coords=np.array(crystal["frac_coords"]),
            ),
        )


class JobFolder:
    """Reads and writes the folder of one job."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def of(cls, root: Path, job: Job) -> JobFolder:
        """The folder of a job below the folder of all jobs."""
        return cls(root / job.key[:2] / job.key)

    @property
    def log(self) -> Path:
        """Printed output of the code in its last attempt."""
        return self.path / "log.txt"

    @property
    def scratch(self) -> Path:
        """Where the code may write what it likes; removed when the job has ended."""
        return self.path / "scratch"

    def prepare(self, job: Job) -> None:
        """Write the job; one that is there already may be at work in a queue, and is the same."""
        self.path.mkdir(parents=True, exist_ok=True)
        self._write("job.json", job.document())

    def job(self) -> Job:
        """The job."""
        return Job.from_document(json.loads((self.path / "job.json").read_text()))

    def result(self) -> dict[str, Any] | None:
        """The result, None if there is none, or none that can be read."""
        try:
            found: dict[str, Any] = json.loads((self.path / "result.json").read_text())
        except (OSError, ValueError):
            return None
        return found if found.get("format") == FORMAT and found.get("key") == self.path.name else None

    def finish(self, result: Mapping[str, Any]) -> None:
        """Write the result and remove the scratch folder."""
        self._write("result.json", {"format": FORMAT, "key": self.path.name, **result})
        self.clean()

    def clean(self) -> None:
        """Remove the scratch folder."""
        shutil.rmtree(self.scratch, ignore_errors=True)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Let one process at a time work here, also when a queue starts a job twice."""
        with (self.path / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _write(self, name: str, document: Mapping[str, Any]) -> None:
        partial = self.path / f"{name}.partial"
        with partial.open("w") as file:
            json.dump(document, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self.path / name)
