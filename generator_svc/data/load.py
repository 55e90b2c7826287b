"""Crystals to train on: those of a source that belong to a part and fit a network."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import structlog
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from generator_svc.data.columns import Columns
from generator_svc.data.prepared import Prepared, prepare, scalars_of
from generator_svc.data.raw import LeftOut, OnError
from generator_svc.data.table import CrystalTable, DataError

__all__ = ["DataSettings", "load_crystals", "read_crystals"]

log = structlog.get_logger()


class DataSettings(BaseModel):
    """Which crystals to train on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: Path
    """Parquet or CSV file, file of structures (CIF, POSCAR, extxyz, pymatgen JSON, ASE .traj and .db, gzipped
    or not), folder of either, or a name: mp-20, alex-mp-20."""
    columns: Columns = Columns()
    """What a table's columns hold, where their names do not say it."""
    split: str | None = "train"
    """Part to train on; none, or `validation_fraction` without parts in the data, takes every row."""
    validation_split: str | None = "val"
    """Part that the validation figures come from."""
    validation_fraction: float | None = Field(default=None, gt=0, lt=1)
    """Share of the training crystals to hold out for validation, chosen by their ids, where there is no part
    for it."""
    max_atoms: int = Field(default=20, ge=1)
    """Larger crystals are left out."""
    on_error: OnError = "raise"
    """What a row or a file that cannot be read is: an error (raise), or counted and left out (skip)."""


def load_crystals(
    settings: DataSettings,
    which: Literal["train", "validation"] = "train",
    *,
    max_atomic_number: int = 100,
    scalars: Sequence[str] = (),
) -> CrystalTable:
    """Load the crystals to train on, or those to validate with; a log line says what was left out and why.

    Raises
    ------
    DataError
        Something does not fit; file, row, column and fix are named.
    """
    prepared = prepare(settings.path, settings.columns, settings.on_error)
    rows = _rows_of(prepared, settings, which)
    part = settings.split if which == "train" else settings.validation_split
    name = part if settings.validation_fraction is None and part else which
    return _fitting(prepared, rows, settings.max_atoms, max_atomic_number, tuple(scalars), name)


def read_crystals(
    path: Path,
    *,
    split: str | None = None,
    max_atoms: int = 20,
    max_atomic_number: int = 100,
    scalars: Sequence[str] = (),
) -> CrystalTable:
    """Load one part of a source whose columns have their usual names.

    Parameters
    ----------
    path
        File, folder or name of a data set.
    split
        Part to keep; none keeps every row.
    max_atoms, max_atomic_number
        Larger crystals and heavier elements are left out.
    scalars
        Columns of numbers to keep; empty cells become NaN.

    Raises
    ------
    DataError
        Something does not fit; file, row, column and fix are named.
    """
    prepared = prepare(path)
    rows = np.arange(len(prepared.table)) if split is None else _part(prepared, split)
    return _fitting(prepared, rows, max_atoms, max_atomic_number, tuple(scalars), split or "all")


def _rows_of(prepared: Prepared, settings: DataSettings, which: str) -> NDArray[np.int64]:
    if settings.validation_fraction is None:
        split = settings.split if which == "train" else settings.validation_split
        return np.arange(len(prepared.table)) if split is None else _part(prepared, split)
    has_parts = bool((prepared.splits != "").any())
    rows = _part(prepared, settings.split) if has_parts and settings.split else np.arange(len(prepared.table))
    held_out = _chance(prepared.table.ids[rows]) < settings.validation_fraction
    return rows[~held_out if which == "train" else held_out]


def _part(prepared: Prepared, split: str) -> NDArray[np.int64]:
    parts = sorted(set(prepared.splits.tolist()) - {""})
    if not parts:
        raise DataError(
            f"{prepared.path}: part {split!r} was asked for and the data has no parts. Name their column "
            "(data.columns.split). data.validation_fraction holds crystals out for validation where no part "
            "is for it; a part to test on has to be named"
        )
    if split not in parts:
        raise DataError(f"{prepared.path}: there is no part {split!r}; there are {', '.join(parts)}")
    return np.flatnonzero(prepared.splits == split)


def _chance(ids: NDArray[np.str_]) -> NDArray[np.float64]:
    """(S,) in [0, 1), a fixed number for every id, so that a crystal stays on its side when data is added."""
    digests = (hashlib.blake2b(str(i).encode(), digest_size=8).digest() for i in ids)
    return np.array([int.from_bytes(digest, "big") / 2**64 for digest in digests])


def _fitting(
    prepared: Prepared,
    rows: NDArray[np.int64],
    max_atoms: int,
    max_atomic_number: int,
    scalars: tuple[str, ...],
    which: str,
) -> CrystalTable:
    table = dataclasses.replace(prepared.table, scalars=scalars_of(prepared, scalars))
    left_out = LeftOut(counts=dict(prepared.left_out.counts), examples=dict(prepared.left_out.examples))
    large = table.num_atoms[rows] > max_atoms
    heaviest = np.maximum.reduceat(table.numbers, table.offsets[:-1]) if len(table) else table.num_atoms
    heavy = ~large & (heaviest[rows] > max_atomic_number)
    for reason, out in (
        (f"of more than {max_atoms} atoms", large),
        (f"with elements beyond {max_atomic_number}", heavy),
    ):
        if out.any():
            left_out.add(reason, str(table.ids[rows][np.argmax(out)]), int(out.sum()))
    kept = rows[~large & ~heavy]
    if not len(kept):
        raise DataError(f"{prepared.path}: no crystal is left of {which}; left out: {left_out}")
    told = {"left_out": str(left_out), "notes": str(prepared.noted)}
    log.info("crystals", source=str(prepared.path), part=which, kept=len(kept), **told)
    return table.take(kept)
