"""Targets: crystals that a run learns from as if they were data, which its policy may then repeat."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from trainer_svc.rewards.measurements import Measurements
from trainer_svc.runs.tables import crystals_of, read_table, structure_table, write_table
from xenolith.crystal import Crystal, CrystalBatch

__all__ = ["Targets", "read_targets"]

_FILE = "targets.parquet"


class Targets:
    """``targets.parquet``, rewritten at checkpoints."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / _FILE
        self._tables: list[pa.Table] = []

    def rewind(self, step: int) -> None:
        """Forget what came after a step."""
        if self._path.exists():
            table = read_table(self._path)
            self._tables = [table.filter(pc.less_equal(table.column("step"), step))]

    def add(self, step: int, source: str, crystals: CrystalBatch, measured: Measurements) -> None:
        """Keep the targets of a step.

        Parameters
        ----------
        source
            How they came to be targets.
        """
        if len(crystals):
            extra: dict[str, Sequence[Any]] = {
                "step": [step] * len(crystals),
                "source": [source] * len(crystals),
            }
            self._tables.append(structure_table(crystals, measured, extra))

    def publish(self) -> None:
        """Write the file."""
        if self._tables:
            self._tables = [pa.concat_tables(self._tables, promote_options="default")]
            write_table(self._path, self._tables[0])


def read_targets(directory: Path, step: int) -> list[Crystal]:
    """Read the targets of a run up to a step; none where it has no such file."""
    path = directory / _FILE
    if not path.exists():
        return []
    table = read_table(path)
    return crystals_of(table.filter(pc.less_equal(table.column("step"), step)))
