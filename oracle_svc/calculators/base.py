"""What every calculator offers, and what it gives back."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from oracle_svc.status import Status

if TYPE_CHECKING:
    from xenolith.crystal import CrystalBatch


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Energies of a batch, one entry per structure and in its order."""

    energy_per_atom: np.ndarray
    """(B,) float64, eV/atom; NaN where the status is not OK."""
    embeddings: np.ndarray | None
    """(B, D) float32 crystal features, NaN where the status is not OK; None if the calculator has none."""
    statuses: tuple[Status, ...]
    """(B,) OK, UNSUPPORTED_ELEMENT, NONFINITE, MALFORMED, BAD_CELL or CALCULATOR_FAILED."""
    messages: tuple[str, ...]
    """(B,) empty where OK; otherwise what is wrong, in the user's terms, without the structure's index."""

    def __len__(self) -> int:
        return len(self.statuses)


@runtime_checkable
class Calculator(Protocol):
    """Evaluates energies of crystals in batches.

    A structure that cannot be evaluated gets its own status and message; it never raises and never
    changes the result of its neighbours.
    """

    @property
    def id(self) -> str:
        """Model and parameters, such as `chgnet-0.3.0`: equal ids give equal energies."""
        ...

    @property
    def version(self) -> str:
        """Version of the software that carries the model, such as `0.4.2`."""
        ...

    @property
    def scheme(self) -> str:
        """Energy scheme, such as `MP2020-corrected GGA/GGA+U`; different schemes never share a hull."""
        ...

    @property
    def licence(self) -> str:
        """Licence of the model or code."""
        ...

    @property
    def elements(self) -> frozenset[int]:
        """Atomic numbers it covers."""
        ...

    @property
    def embedding_size(self) -> int:
        """Length of the crystal features, 0 if it has none."""
        ...

    @property
    def settings_digest(self) -> str:
        """SHA-256 (hex) of everything that changes its numbers, weights included."""
        ...

    def evaluate(self, batch: CrystalBatch) -> Evaluation:
        """Evaluate every structure of `batch` as it is (no relaxation)."""
        ...


class EvaluationBuilder:
    """Collects the outcomes of single structures into an `Evaluation`."""

    def __init__(self, size: int, embedding_size: int) -> None:
        self._energy = np.full(size, np.nan)
        self._embeddings = (
            np.full((size, embedding_size), np.nan, dtype=np.float32) if embedding_size else None
        )
        self._status: list[Status] = [Status.CALCULATOR_FAILED] * size
        self._message = ["the calculator returned nothing for this structure"] * size

    def fail(self, index: int, status: Status, message: str) -> None:
        """Record why structure `index` has no energy."""
        self._status[index] = status
        self._message[index] = message

    def add(self, index: int, energy_per_atom: float, embedding: np.ndarray | None = None) -> None:
        """Record the energy of structure `index`; a number that is not finite is a failure."""
        finite = np.isfinite(energy_per_atom) and (embedding is None or bool(np.isfinite(embedding).all()))
        if not finite:
            self.fail(index, Status.CALCULATOR_FAILED, "the calculator returned an energy that is not finite")
            return
        self._energy[index] = energy_per_atom
        if self._embeddings is not None and embedding is not None:
            self._embeddings[index] = embedding
        self._status[index] = Status.OK
        self._message[index] = ""

    def build(self) -> Evaluation:
        """Return the collected outcomes."""
        return Evaluation(
            energy_per_atom=self._energy,
            embeddings=self._embeddings,
            statuses=tuple(self._status),
            messages=tuple(self._message),
        )


def digest_of(settings: Mapping[str, object]) -> str:
    """Return the SHA-256 (hex) of settings in canonical JSON."""
    text = json.dumps(settings, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
