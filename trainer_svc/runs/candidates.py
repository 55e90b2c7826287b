"""Candidates: structures worth a second look (metastable, unique and novel), kept as they come."""

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trainer_svc.rewards.measurements import Measurements
from trainer_svc.runs.tables import read_table, structure_table, write_table
from xenolith.crystal import Crystal, CrystalBatch
from xenolith.elements import SYMBOLS
from xenolith.headlines import headline

__all__ = ["Candidates", "extxyz_frame"]


class Candidates:
    """``candidates.extxyz`` (appended every step) and ``candidates.parquet`` (rewritten at checkpoints)."""

    def __init__(self, directory: Path) -> None:
        self._extxyz = directory / "candidates.extxyz"
        self._parquet = directory / "candidates.parquet"
        self._tables: list[pa.Table] = []

    def rewind(self, step: int, length: int) -> None:
        """Forget what came after a checkpoint: ``step`` steps and ``length`` bytes of extxyz stay."""
        if self._extxyz.exists():
            with self._extxyz.open("r+b") as stream:
                stream.truncate(length)
        if self._parquet.exists():
            table = read_table(self._parquet)
            self._tables = [table.filter(pc.less_equal(table.column("step"), step))]

    def add(self, step: int, crystals: CrystalBatch, measured: Measurements) -> int:
        """Keep the candidates of a step; returns how many there were."""
        chosen = np.nonzero(headline("msun").flags(measured))[0]
        if len(chosen) == 0:
            return 0
        kept, scores = crystals.take(chosen), measured.take(chosen)
        names = [f"{step:06d}-{index:04d}" for index in chosen]
        self._tables.append(structure_table(kept, scores, {"id": names, "step": [step] * len(names)}))
        energies = scores.column("e_above_hull")
        with self._extxyz.open("a", encoding="utf-8") as stream:
            for crystal, name, energy in zip(kept, names, energies, strict=True):
                stream.write(extxyz_frame(crystal, id=name, step=step, e_above_hull=float(energy)))
            stream.flush()
            os.fsync(stream.fileno())
        return len(chosen)

    def publish(self) -> int:
        """Write the parquet file; returns the length of the extxyz file for the checkpoint."""
        if self._tables:
            self._tables = [pa.concat_tables(self._tables, promote_options="default")]
            write_table(self._parquet, self._tables[0])
        return self._extxyz.stat().st_size if self._extxyz.exists() else 0


def extxyz_frame(crystal: Crystal, **info: str | int | float) -> str:
    """Write one frame of extended XYZ, as ASE and OVITO read it; positions in Angstrom."""
    cell = " ".join(f"{value:.10g}" for value in crystal.lattice.ravel())
    pairs = " ".join(f"{key}={value}" for key, value in info.items())
    lines = [
        str(crystal.num_atoms),
        f'Lattice="{cell}" Properties=species:S:1:pos:R:3 formula={crystal.formula} {pairs} pbc="T T T"',
    ]
    for number, position in zip(crystal.numbers, crystal.frac_coords @ crystal.lattice, strict=True):
        lines.append(f"{SYMBOLS[number]} " + " ".join(f"{value:.10g}" for value in position))
    return "\n".join(lines) + "\n"
