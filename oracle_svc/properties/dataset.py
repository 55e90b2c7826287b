"""Labelled structures with their embeddings, split into training, validation and test."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from oracle_svc.calculators.base import Calculator
from oracle_svc.known.reference.folder import Reference
from oracle_svc.known.reference.structures import StructureTable, read_structures
from oracle_svc.status import Status
from xenolith.crystal import CrystalBatch
from xenolith.formula import reduced_formula

__all__ = ["Labelled", "read_labelled"]

_SPLITS = ("train", "val", "test")


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """N structures that have a value and an embedding."""

    crystals: CrystalBatch
    embeddings: NDArray[np.float32]
    """(N, D) float32."""
    values: NDArray[np.float64]
    """(N,) float64."""
    train: NDArray[np.bool_]
    """(N,) bool; likewise `val` and `test`."""
    val: NDArray[np.bool_]
    test: NDArray[np.bool_]


def read_labelled(
    path: Path,
    column: str,
    calculator: Calculator,
    *,
    reference: Path | None = None,
    split_column: str = "",
    seed: int = 0,
) -> Labelled:
    """Read a table's structures that have a value of `column`.

    Raises
    ------
    ValueError
        A column is missing, a split is empty, or embeddings cannot be had.
    """
    if not calculator.embedding_size:
        raise ValueError(f"{calculator.id} gives no embeddings to learn from; take chgnet")
    table = read_structures(path)
    values = _numbers(path, column)
    usable = np.isfinite(values)
    embeddings = np.full((len(table), calculator.embedding_size), np.nan, dtype=np.float32)
    if reference is not None:
        _from_reference(embeddings, table, Reference.read(reference), calculator)
    missing = np.flatnonzero(usable & ~np.isfinite(embeddings).all(axis=1))
    for start in range(0, len(missing), 1000):
        rows = missing[start : start + 1000]
        evaluation = calculator.evaluate(table.batch.take(rows))
        good = np.array([status is Status.OK for status in evaluation.statuses])
        if evaluation.embeddings is not None:
            embeddings[rows[good]] = evaluation.embeddings[good]
    chosen = np.flatnonzero(usable & np.isfinite(embeddings).all(axis=1))
    batch = table.batch.take(chosen)
    split = _split(path, split_column, chosen) if split_column else _split_by_formula(batch, seed)
    for name in _SPLITS:
        if not (split == name).any():
            raise ValueError(f"{path} has no labelled structure in the split {name!r}")
    return Labelled(
        crystals=batch,
        embeddings=embeddings[chosen],
        values=values[chosen],
        train=split == "train",
        val=split == "val",
        test=split == "test",
    )


def _numbers(path: Path, column: str) -> NDArray[np.float64]:
    names = pq.read_schema(path).names
    if column not in names:
        raise ValueError(f"{path} has no column {column!r}; it has {', '.join(names)}")
    values = pq.read_table(path, columns=[column])[column]
    if not (pa.types.is_floating(values.type) or pa.types.is_integer(values.type)):
        raise ValueError(f"{path}: column {column!r} holds {values.type}, not numbers")
    return np.asarray(values.cast(pa.float64()).to_numpy(), dtype=np.float64)


def _from_reference(
    embeddings: NDArray[np.float32], table: StructureTable, reference: Reference, calculator: Calculator
) -> None:
    if reference.calculator_digest != calculator.settings_digest:
        raise ValueError(f"{reference.path} has embeddings of {reference.calculator_id}, not {calculator.id}")
    place = {name: row for row, name in enumerate(reference.ids)}
    found = [(row, place[name]) for row, name in enumerate(table.ids) if name in place]
    if found:
        rows, places = np.array(found).T
        embeddings[rows] = reference.embeddings[places]


def _split(path: Path, column: str, chosen: NDArray[np.int64]) -> NDArray[np.str_]:
    if column not in pq.read_schema(path).names:
        raise ValueError(f"{path} has no column {column!r} to split by")
    return np.array(pq.read_table(path, columns=[column])[column].to_pylist(), dtype=str)[chosen]


def _split_by_formula(batch: CrystalBatch, seed: int) -> NDArray[np.str_]:
    """80, 10 and 10 %, all structures of a formula together: none is tested on its own polymorph."""

    def share(formula: str) -> float:
        digest = hashlib.sha256(f"{seed}:{formula}".encode()).digest()
        return int.from_bytes(digest[:8], "big") / 2**64

    shares = np.array([share(reduced_formula(crystal.numbers)) for crystal in batch])
    return np.where(shares < 0.8, "train", np.where(shares < 0.9, "val", "test"))
