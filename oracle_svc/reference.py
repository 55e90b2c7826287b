"""The oracle's reference: what is known, and the hull that energies are compared with.

A reference is a folder:

    reference.json        identity, digests, counts, calculator, settings, licence
    structures.parquet    one row per known structure, sorted by reduced formula
    hull.parquet          the vertices of the hulls of all chemical systems

AMD vectors are stored as differences of neighbouring entries in steps of `amd.step` Angstrom, so
that each entry is right to half a step; embeddings as whole steps between the smallest and the
largest value of each column. Nothing is pickled, and both tables must have the digests that
reference.json gives.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from oracle_svc.hull import Hull, HullEntry
from xenolith.bundle import sha256
from xenolith.elements import SYMBOLS

__all__ = ["FORMAT", "HULL", "MANIFEST", "STRUCTURES", "BadReferenceError", "KnownStructures", "Reference"]

FORMAT = 1
MANIFEST, STRUCTURES, HULL = "reference.json", "structures.parquet", "hull.parquet"


class BadReferenceError(ValueError):
    """A reference that is missing or damaged; the message says what to do."""


@dataclass(frozen=True, kw_only=True)
class KnownStructures:
    """The known structures of one reduced formula."""

    ids: tuple[str, ...]
    """(M,)."""
    amd: np.ndarray
    """(M, k) float64, Angstrom, each right to half a storage step."""


class Reference:
    """A reference read from its folder; use `Reference.read`."""

    def __init__(self, path: Path, info: dict[str, Any], structures: pa.Table, hull: pa.Table) -> None:
        self.path = path
        self.info = info
        self._structures = structures
        self._hull = hull

    @classmethod
    def read(cls, path: Path) -> Reference:
        """Read and verify a reference.

        Raises
        ------
        BadReferenceError
            If it is missing, of another format, or does not have the digests it should.
        """
        info = _manifest(path / MANIFEST)
        for part, name in (("structures", STRUCTURES), ("hull", HULL)):
            file = path / name
            if not file.exists():
                raise BadReferenceError(f"{file} is missing: copy the whole reference folder again")
            if sha256(file) != info[part]["sha256"]:
                raise BadReferenceError(
                    f"{file} does not have the digest that {MANIFEST} gives: copy it again"
                )
        return cls(path, info, pq.read_table(path / STRUCTURES), pq.read_table(path / HULL))

    def __len__(self) -> int:
        return self._structures.num_rows

    @property
    def id(self) -> str:
        """Name and digest of the known structures, such as `mp20-0123456789ab`."""
        return str(self.info["id"])

    @property
    def hull_id(self) -> str:
        """Name and digest of the hull; it begins with the id of the calculator."""
        return str(self.info["hull"]["id"])

    @property
    def calculator_id(self) -> str:
        """The calculator of energies, embeddings and hull."""
        return str(self.info["calculator"]["id"])

    @property
    def calculator_digest(self) -> str:
        """Settings digest of that calculator."""
        return str(self.info["calculator"]["settings_digest"])

    @property
    def amd_k(self) -> int:
        """Length of the AMD vectors."""
        return int(self.info["amd"]["k"])

    @property
    def amd_tolerance(self) -> float:
        """Calibrated AMD distance below which two structures of one formula are the same, Angstrom."""
        return float(self.info["settings"]["amd_tolerance"])

    @property
    def licence(self) -> str:
        """Licence and attribution of the data."""
        return f"{self.info['licence']}; {self.info['attribution']}"

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """(M,) ids, in the order of every other array here."""
        return tuple(self._structures["id"].to_pylist())

    @cached_property
    def energies(self) -> np.ndarray:
        """(M,) float64 energies per atom, eV/atom."""
        return self._structures["energy_per_atom"].to_numpy().astype(np.float64)

    @cached_property
    def embeddings(self) -> np.ndarray:
        """(M, D) float32 embeddings of the calculator, each right to half a step of its column."""
        scale = self.info["embedding"]
        low, high = np.array(scale["minimum"]), np.array(scale["maximum"])
        steps = _matrix(self._structures["embedding"], len(low))
        return (low + steps * ((high - low) / (scale["levels"] - 1))).astype(np.float32)

    @cached_property
    def compositions(self) -> np.ndarray:
        """(M, 119) float32 atomic fractions by atomic number."""
        fractions = np.zeros((len(self), len(SYMBOLS)), dtype=np.float32)
        lengths = self._structures["elements"].combine_chunks().value_lengths().to_numpy()
        rows = np.repeat(np.arange(len(self)), lengths)
        elements = self._structures["elements"].combine_chunks().flatten().to_numpy()
        fractions[rows, elements] = self._structures["counts"].combine_chunks().flatten().to_numpy()
        return fractions / fractions.sum(axis=1, keepdims=True)

    @cached_property
    def hull(self) -> Hull:
        """The hull."""
        columns = [self._hull[name].to_pylist() for name in ("id", "elements", "counts", "energy_per_atom")]
        return Hull(
            HullEntry(id=name, composition=tuple(zip(elements, counts, strict=True)), energy_per_atom=energy)
            for name, elements, counts, energy in zip(*columns, strict=True)
        )

    def rows(self, formula: str) -> KnownStructures:
        """Return the known structures with this reduced formula; none is an empty answer."""
        rows = self._rows_of.get(formula, slice(0, 0))
        steps = np.cumsum(self._amd_steps[rows], axis=1, dtype=np.int64)
        return KnownStructures(ids=self.ids[rows], amd=steps * float(self.info["amd"]["step"]))

    def amd_entries(self, orders: Sequence[int]) -> np.ndarray:
        """(M, len(orders)) float64 AMD entries k for each k in `orders`, Angstrom."""
        steps = np.cumsum(self._amd_steps, axis=1, dtype=np.int64)[:, np.array(orders) - 1]
        return steps * float(self.info["amd"]["step"])

    @cached_property
    def _amd_steps(self) -> np.ndarray:
        return _matrix(self._structures["amd"], self.amd_k)

    @cached_property
    def _rows_of(self) -> dict[str, slice]:
        formulas = np.array(self._structures["formula"].to_pylist(), dtype=object)
        names, first, counts = np.unique(formulas.astype(str), return_index=True, return_counts=True)
        return {str(n): slice(int(f), int(f + c)) for n, f, c in zip(names, first, counts, strict=True)}


def _manifest(file: Path) -> dict[str, Any]:
    if not file.exists():
        raise BadReferenceError(f"{file.parent} is no reference: it has no {MANIFEST}")
    try:
        info: dict[str, Any] = json.loads(file.read_text())
    except ValueError as error:
        raise BadReferenceError(f"{file} is not valid JSON: {error}") from error
    if info.get("format") != FORMAT:
        raise BadReferenceError(
            f"{file} has format {info.get('format')}; this version of Xenolith reads {FORMAT}"
        )
    return info


def _matrix(column: pa.ChunkedArray, width: int) -> np.ndarray:
    values: np.ndarray = column.combine_chunks().flatten().to_numpy()
    return values.reshape(-1, width)
