"""Data of a report, read from a run's directory alone."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer_svc.runs.directory import RunDirectory
from trainer_svc.runs.events import EventLog, last_steps
from trainer_svc.runs.tables import crystals_of, read_table
from xenolith.crystal import Crystal
from xenolith.files import read_json
from xenolith.headlines import headline
from xenolith.v1 import trainer_pb2

__all__ = ["Policy", "ReportData", "read_report_data"]


@dataclass(frozen=True, kw_only=True)
class Policy:
    """An evaluated policy with its n structures."""

    name: str
    """``base`` or ``tuned``."""
    evaluation: trainer_pb2.Evaluation
    crystals: list[Crystal]
    columns: dict[str, list[Any]]
    """Columns of the evaluation's table, n entries each, None where absent."""

    def __len__(self) -> int:
        return len(self.crystals)

    def column(self, name: str) -> NDArray[np.float64]:
        """(n,) one column as numbers, NaN where absent."""
        values = self.columns.get(name, [None] * len(self.crystals))
        return np.array([np.nan if value is None else float(value) for value in values])

    @property
    def msun(self) -> NDArray[np.bool_]:
        """(n,) which structures are metastable, unique and novel."""
        return headline("msun").flags(self)


@dataclass(frozen=True, kw_only=True)
class ReportData:
    """Everything on the page."""

    run: trainer_pb2.Run
    steps: list[trainer_pb2.StepEvent]
    policies: list[Policy]
    """Base and tuned, as far as they were evaluated."""
    candidates: int
    """Candidates found in training."""
    versions: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    """Distinct warnings, first come first."""


def read_report_data(directory: RunDirectory) -> ReportData:
    """Read a run; what it has not come to yet is left out."""
    events = EventLog(directory.events).after(0)
    run = directory.read_record() or trainer_pb2.Run(name=directory.path.name)
    candidates = directory.path / "candidates.parquet"
    warnings = [event.warning for event in events if event.WhichOneof("event") == "warning"]
    return ReportData(
        run=run,
        steps=last_steps(events),
        policies=[policy for name in ("base", "tuned") if (policy := _policy(directory, run, name))],
        candidates=read_table(candidates).num_rows if candidates.exists() else 0,
        versions=read_json(directory.versions) if directory.versions.exists() else {},
        warnings=list(dict.fromkeys(warnings)),
    )


def _policy(directory: RunDirectory, run: trainer_pb2.Run, name: str) -> Policy | None:
    path = directory.evaluation(name).with_suffix(".parquet")
    if not run.HasField(name) or not path.exists():
        return None
    table = read_table(path)
    skipped = {"lattice", "numbers", "frac_coords"}
    columns = {
        column: table.column(column).to_pylist() for column in table.column_names if column not in skipped
    }
    return Policy(name=name, evaluation=getattr(run, name), crystals=crystals_of(table), columns=columns)
