"""The oracle's reference: what is known, and the hull that energies are compared with.

A reference is a folder:

    reference.json        identity, digests, counts, calculator, settings, licence
    structures.parquet    one row per known structure, sorted by reduced formula
    amd.npy               their AMD vectors, where the reference is too large to hold them in the table
    crystals.parquet      the structures themselves, if they are kept
    hull.parquet          the vertices of the hulls of all chemical systems

It has known structures, a hull, or both. AMD vectors are fixed point, each entry right to half a step of
`amd.step` Angstrom; in the table they are differences of neighbouring entries. Embeddings are whole steps
between the smallest and the largest value of each column. Nothing is pickled, and every part must have the
digest that reference.json gives.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from oracle_svc.calculators.base import digest_of
from oracle_svc.crystals.amd import DEFAULT_K
from oracle_svc.known.diversity.contributions import AMD_ORDERS, FeatureSpace, amd_features
from oracle_svc.known.hull import Hull, HullEntry
from oracle_svc.known.novelty.amd_store import AmdStore
from oracle_svc.known.novelty.known_index import KnownIndex, KnownStructures
from oracle_svc.known.reference.crystal_columns import CrystalColumns
from oracle_svc.known.reference.index import BadReferenceError, index_of_columns, no_structures
from oracle_svc.known.reference.manifest import (
    AMD,
    CRYSTALS,
    HULL,
    MANIFEST,
    PARTS,
    STRUCTURES,
    read_manifest,
)
from xenolith.bundle import sha256
from xenolith.elements import SYMBOLS

__all__ = ["BadReferenceError", "KnownStructures", "Reference"]


@dataclass(frozen=True, kw_only=True)
class KnownSource:
    """A source of energies, as a manifest describes it."""

    id: str
    version: str
    scheme: str
    settings_digest: str


class Reference:
    """A reference read from its folder; use `Reference.read`."""

    def __init__(self, path: Path, info: dict[str, Any]) -> None:
        self.path = path
        self.info = info

    @classmethod
    def read(cls, path: Path) -> Reference:
        """Open and verify a reference; its tables are read when they are needed.

        Raises
        ------
        BadReferenceError
            If it is missing, of another format, or does not have the digests it should.
        """
        info = read_manifest(path / MANIFEST)
        for part, name in PARTS.items():
            wanted = (info.get(part) or {}).get("sha256")
            if not wanted:
                continue
            file = path / name
            if not file.exists():
                raise BadReferenceError(f"{file} is missing: copy the whole reference folder again")
            if sha256(file) != wanted:
                raise BadReferenceError(
                    f"{file} does not have the digest that {MANIFEST} gives: copy it again"
                )
        return cls(path, info)

    def prepare(self) -> None:
        """Read what all requests need, so that the first one does not pay for it.

        Raises
        ------
        BadReferenceError
            Its AMD vectors have another length than this oracle's.
        """
        if len(self) and self.amd_k != DEFAULT_K:
            raise BadReferenceError(
                f"{self.path} has AMD vectors of {self.amd_k} entries, this version compares "
                f"{DEFAULT_K}: build the reference again"
            )
        len(self.index.compositions)

    def __len__(self) -> int:
        return int((self.info.get("structures") or {}).get("count", 0))

    @property
    def id(self) -> str:
        """Name and digest of the known structures, such as `mp20-0123456789ab`."""
        return str(self.info["id"])

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) of the manifest, which gives the digests of all parts."""
        return digest_of(self.info)

    @property
    def hull_id(self) -> str:
        """Name and digest of the hull; it begins with the id of the calculator. Empty if there is none."""
        return str((self.info.get("hull") or {}).get("id", ""))

    @property
    def hull_scheme(self) -> str:
        """Declared energy scheme of the hull; empty if there is none."""
        return self._source("scheme") if self.hull_id else ""

    @property
    def hull_is_declared(self) -> bool:
        """Whether the hull was imported: it then serves every calculator of its scheme."""
        return bool((self.info.get("hull") or {}).get("imported", False))

    @property
    def calculator_id(self) -> str:
        """The calculator of energies, embeddings and hull; empty if there are none."""
        return self._source("id")

    @property
    def calculator_digest(self) -> str:
        """Settings digest of that calculator."""
        return self._source("settings_digest")

    @property
    def has_embeddings(self) -> bool:
        """Whether it holds embeddings of that calculator."""
        return "embedding" in self.info

    @property
    def amd_k(self) -> int:
        """Length of the AMD vectors."""
        return int((self.info.get("amd") or {}).get("k", 0))

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
        return tuple(self._column("id").to_pylist())

    @cached_property
    def energies(self) -> NDArray[np.float64]:
        """(M,) float64 energies per atom, eV/atom; NaN where there are none."""
        if not self._has("energy_per_atom"):
            return np.full(len(self), np.nan)
        return self._column("energy_per_atom").to_numpy(zero_copy_only=False).astype(np.float64)

    @property
    def embeddings(self) -> NDArray[np.float32]:
        """(M, D) float32 embeddings of the calculator, each right to half a step; D may be 0."""
        scale = self.info.get("embedding")
        if not scale:
            return np.zeros((len(self), 0), dtype=np.float32)
        low, high = np.array(scale["minimum"]), np.array(scale["maximum"])
        steps = self._column("embedding").flatten().to_numpy().reshape(-1, len(low))
        return (low + steps * ((high - low) / (scale["levels"] - 1))).astype(np.float32)

    @property
    def compositions(self) -> NDArray[np.float32]:
        """(M, 119) float32 atomic fractions by atomic number."""
        fractions = np.zeros((len(self), len(SYMBOLS)), dtype=np.float32)
        if len(self):
            elements, counts = self._column("elements"), self._column("counts")
            rows = np.repeat(np.arange(len(self)), elements.value_lengths().to_numpy())
            fractions[rows, elements.flatten().to_numpy()] = counts.flatten().to_numpy()
        return fractions / fractions.sum(axis=1, keepdims=True)

    @cached_property
    def hull(self) -> Hull | None:
        """The hull, if there is one."""
        if not self.hull_id:
            return None
        table = pq.read_table(self.path / HULL)
        columns = [table[name].to_pylist() for name in ("id", "elements", "counts", "energy_per_atom")]
        scheme = f"{self.calculator_id}: {self.hull_scheme}"
        return Hull(
            HullEntry(
                id=name,
                composition=tuple(zip(elements, counts, strict=True)),
                energy_per_atom=energy,
                scheme=scheme,
            )
            for name, elements, counts, energy in zip(*columns, strict=True)
        )

    @cached_property
    def composition_space(self) -> FeatureSpace:
        """The space in which diversity of compositions is measured.

        This and the other spaces are made when they are first asked for, since those of a million structures
        take memory, and then serve every oracle that uses the reference.
        """
        return FeatureSpace.from_compositions(self._composition_features())

    @cached_property
    def embedding_space(self) -> FeatureSpace | None:
        """The space of the embeddings of the calculator; None where there are none."""
        embeddings = self.embeddings
        if not embeddings.shape[1]:
            return None
        return FeatureSpace.from_embeddings(embeddings, name=f"embedding:{self.calculator_id}")

    @cached_property
    def amd_space(self) -> FeatureSpace:
        """The space of AMD and composition, for oracles whose calculator gives no such embeddings."""
        features = amd_features(self.amd_entries(AMD_ORDERS))
        return FeatureSpace.from_amd(features, self._composition_features())

    @cached_property
    def index(self) -> KnownIndex:
        """Finds known structures.

        Raises
        ------
        BadReferenceError
            The structures are not sorted by formula.
        """
        if not len(self):
            return no_structures()
        return index_of_columns(
            self._column,
            amd=self._amd,
            crystal=CrystalColumns(self.path / CRYSTALS).crystal if self.info.get("crystals") else None,
            file=self.path / STRUCTURES,
        )

    def rows(self, formula: str) -> KnownStructures:
        """Return the known structures with this reduced formula; none is an empty answer."""
        return self.index.rows(formula)

    def amd_entries(self, orders: Sequence[int]) -> NDArray[np.float64]:
        """(M, len(orders)) float64 AMD entries k for each k in `orders`, Angstrom."""
        steps = self._amd.steps[:, np.array(orders) - 1]
        return np.asarray(steps * self._amd.step, dtype=np.float64)

    @cached_property
    def _amd(self) -> AmdStore:
        step = float(self.info["amd"]["step"])
        if self.info["amd"].get("sha256"):
            return AmdStore.open(self.path / AMD, step)
        differences = self._column("amd").flatten().to_numpy().reshape(-1, self.amd_k)
        steps = np.cumsum(differences, axis=1, dtype=np.int64)
        if steps.max(initial=0) <= np.iinfo(np.uint16).max:
            return AmdStore(steps=steps.astype(np.uint16), step=step)
        return AmdStore.pack(steps * step)

    @property
    def energy_source(self) -> KnownSource | None:
        """Where its energies come from, if it has some."""
        if not self.info.get("calculator"):
            return None
        return KnownSource(**{name: self._source(name) for name in KnownSource.__dataclass_fields__})

    def _composition_features(self) -> NDArray[np.float32]:
        """(M, 118) `composition_vectors` of the known structures."""
        return np.sqrt(self.compositions[:, 1:])

    def _source(self, name: str) -> str:
        return str((self.info.get("calculator") or {}).get(name, ""))

    def _has(self, column: str) -> bool:
        return len(self) > 0 and column in pq.read_schema(self.path / STRUCTURES).names

    def _column(self, name: str) -> Any:
        return pq.read_table(self.path / STRUCTURES, columns=[name])[name].combine_chunks()
