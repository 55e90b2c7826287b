"""Running one job: `python -m oracle_svc.pools.jobs.run FOLDER`, or `run_job(FOLDER)` in a queue's worker."""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import socket
import sys
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from oracle_svc.pools.jobs.base import PARENT
from oracle_svc.pools.jobs.folder import JobFolder
from oracle_svc.status import Status
from xenolith.crystal import CrystalBatch

__all__ = ["run_job"]

_NO_ENERGY = 3


def run_job(folder: str) -> str:
    """Compute the job in a folder, write its result, and return the name of its status.

    A result that is there already is left alone, so that a job started twice is computed once.
    """
    place = JobFolder(Path(folder).resolve())
    with place.locked():
        result = place.result()
        if result is None:
            place.clean()
            place.scratch.mkdir()
            before = Path.cwd()
            os.chdir(place.scratch)
            try:
                result = _computed(place)
            finally:
                os.chdir(before)
            place.finish(result)
    return str(result["status"])


def _computed(place: JobFolder) -> dict[str, Any]:
    from oracle_svc.calculators import open_calculator

    job = place.job()
    began = time.monotonic()
    calculator = open_calculator(job.calculator, **job.settings)
    if calculator.settings_digest != job.calculator_digest:
        raise ValueError(
            f"{calculator.id} here ({calculator.version}, {calculator.settings_digest[:12]}) is not what the "
            f"oracle asked for ({job.calculator_digest[:12]}): install the same version where jobs run"
        )
    evaluation = calculator.evaluate(CrystalBatch.from_crystals([job.crystal]), with_forces=job.with_forces)
    status = evaluation.statuses[0]
    return {
        "status": status.name,
        "message": evaluation.messages[0],
        "energy_per_atom": float(evaluation.energy_per_atom[0]) if status is Status.OK else None,
        "forces": _plain(evaluation.forces),
        "stress": None if evaluation.stress is None else _plain(evaluation.stress[0]),
        "calculator": {
            "id": calculator.id,
            "version": calculator.version,
            "scheme": calculator.scheme,
            "settings_digest": calculator.settings_digest,
            "parameters": dict(getattr(calculator, "parameters", {})) or dict(job.settings),
        },
        "xenolith": version("xenolith"),
        "python": sys.version.split()[0],
        "host": socket.gethostname(),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "wall_s": round(time.monotonic() - began, 3),
        "log": str(place.log),
    }


def _plain(array: Any) -> Any:
    # Numbers that are not finite belong to structures without a value, and JSON has none for them.
    return None if array is None or not bool((array == array).all()) else array.tolist()


def _end_with(parent: int, scratch: Path) -> None:
    """End with the service, however it ended, and take along what the code started."""
    while os.getppid() == parent:
        time.sleep(0.5)
    shutil.rmtree(scratch, ignore_errors=True)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(os.getpgrp(), signal.SIGKILL)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the job in the folder given; return 0, or 3 if it gave no energy."""
    folder = _arguments(argv)
    if parent := os.environ.get(PARENT):
        scratch = JobFolder(folder.resolve()).scratch
        threading.Thread(target=_end_with, args=(int(parent), scratch), daemon=True).start()
    return 0 if run_job(str(folder)) == Status.OK.name else _NO_ENERGY


def _arguments(argv: Sequence[str] | None) -> Path:
    parser = argparse.ArgumentParser(
        "python -m oracle_svc.pools.jobs.run",
        description="Compute one job of the oracle's: the crystal in FOLDER/job.json, by the calculator that"
        " is named there. The oracle and its queues start this themselves; by hand it runs a job again that"
        " failed, or one on a machine that the queue cannot reach.",
        epilog="Writes result.json into the folder; one that is there already is left alone. What the code"
        f" writes meanwhile is in its scratch/. Exit status: 0, or {_NO_ENERGY} if the calculation gave no"
        " energy; result.json says why.",
    )
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="folder with a job.json")
    folder: Path = parser.parse_args(argv).folder
    if not (folder / "job.json").is_file():
        parser.error(
            f"{folder} holds no job.json; jobs are below the oracle's state, in jobs/<two letters>/<key>"
        )
    return folder


if __name__ == "__main__":
    sys.exit(main())
