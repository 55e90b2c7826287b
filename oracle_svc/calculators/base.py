"""The interface of every calculator, and its results."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from oracle_svc.status import Status

if TYPE_CHECKING:
    from xenolith.crystal import CrystalBatch

__all__ = ["Calculator", "Evaluation", "EvaluationBuilder", "device_settings", "digest_of"]


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Energies of a batch, one entry per structure and in its order."""

    energy_per_atom: NDArray[np.float64]
    """(B,) float64, eV/atom; NaN where the status is not OK."""
    embeddings: NDArray[np.float32] | None
    """(B, D) float32 crystal features, NaN where the status is not OK; None if the calculator has none."""
    statuses: tuple[Status, ...]
    """(B,) OK, UNSUPPORTED_ELEMENT, NONFINITE, MALFORMED, BAD_CELL or CALCULATOR_FAILED."""
    messages: tuple[str, ...]
    """(B,) empty where OK; otherwise what is wrong, in the user's terms, without the structure's index."""
    forces: NDArray[np.float64] | None = None
    """(T, 3) float64, eV/Angstrom, rows as the batch's atoms, NaN where the status is not OK; None unless
    asked for and offered."""
    stress: NDArray[np.float64] | None = None
    """(B, 3, 3) float64, eV/Angstrom^3, symmetric, positive under tension, NaN where the status is not OK;
    None unless asked for and offered."""
    raw_energy_per_atom: NDArray[np.float64] | None = None
    """(B,) float64, eV/atom: the energy before the corrections that `energy_per_atom` holds, NaN where the
    status is not OK; None of a calculator whose energies are on its scheme as they come."""

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

    @property
    def offers_forces(self) -> bool:
        """Whether it can give forces."""
        ...

    @property
    def offers_stress(self) -> bool:
        """Whether it can give stress."""
        ...

    def evaluate(self, batch: CrystalBatch, *, with_forces: bool = False) -> Evaluation:
        """Evaluate every structure of `batch` as it is (no relaxation), and leave `batch` unchanged.

        Parameters
        ----------
        batch
            Crystals in any cell and order.
        with_forces
            Give forces and stress too, as far as offered; energies are the same either way, to rounding.
        """
        ...


class EvaluationBuilder:
    """Collects the outcomes of single structures into an `Evaluation`.

    Parameters
    ----------
    num_atoms
        (B,) atoms of each structure.
    embedding_size
        Length of the embeddings, 0 for none.
    forces, stress
        Whether these are collected.
    """

    def __init__(
        self,
        num_atoms: NDArray[np.integer],
        embedding_size: int,
        *,
        forces: bool = False,
        stress: bool = False,
    ) -> None:
        size = len(num_atoms)
        self._ends = np.cumsum(num_atoms)
        self._num_atoms = num_atoms
        self._energy = np.full(size, np.nan)
        self._raw: NDArray[np.float64] | None = None
        self._embeddings = (
            np.full((size, embedding_size), np.nan, dtype=np.float32) if embedding_size else None
        )
        self._forces = np.full((int(np.sum(num_atoms)), 3), np.nan) if forces else None
        self._stress = np.full((size, 3, 3), np.nan) if stress else None
        self._status: list[Status] = [Status.CALCULATOR_FAILED] * size
        self._message = ["the calculator returned nothing for this structure"] * size

    def fail(self, index: int, status: Status, message: str) -> None:
        """Record why structure `index` has no energy."""
        self._status[index] = status
        self._message[index] = message

    def add(
        self,
        index: int,
        energy_per_atom: float,
        embedding: NDArray[np.floating] | None = None,
        *,
        forces: NDArray[np.floating] | None = None,
        stress: NDArray[np.floating] | None = None,
        raw_energy_per_atom: float | None = None,
    ) -> None:
        """Record what was computed of structure `index`; a number that is not finite is a failure."""
        given = {"energy": energy_per_atom, "embedding": embedding, "forces": forces, "stress": stress}
        for name, value in given.items():
            if value is not None and not np.isfinite(value).all():
                message = f"the calculator returned {_ARTICLES[name]} that {_VERBS[name]} not finite"
                self.fail(index, Status.CALCULATOR_FAILED, message)
                return
        self._energy[index] = energy_per_atom
        if raw_energy_per_atom is not None:
            if self._raw is None:
                self._raw = np.full(len(self._energy), np.nan)
            self._raw[index] = raw_energy_per_atom
        if self._embeddings is not None and embedding is not None:
            self._embeddings[index] = embedding
        if self._forces is not None and forces is not None:
            end = self._ends[index]
            self._forces[end - self._num_atoms[index] : end] = forces
        if self._stress is not None and stress is not None:
            self._stress[index] = (stress + stress.T) / 2
        self._status[index] = Status.OK
        self._message[index] = ""

    def copy(self, index: int, evaluation: Evaluation, position: int, atoms: slice) -> None:
        """Record what another evaluation says of its structure `position`, whose atoms are `atoms` there."""
        if evaluation.statuses[position] is not Status.OK:
            self.fail(index, evaluation.statuses[position], evaluation.messages[position])
            return
        self.add(
            index,
            float(evaluation.energy_per_atom[position]),
            None if evaluation.embeddings is None else evaluation.embeddings[position],
            forces=None if evaluation.forces is None else evaluation.forces[atoms],
            stress=None if evaluation.stress is None else evaluation.stress[position],
            raw_energy_per_atom=(
                None
                if evaluation.raw_energy_per_atom is None
                else float(evaluation.raw_energy_per_atom[position])
            ),
        )

    def build(self) -> Evaluation:
        """Return the collected outcomes."""
        return Evaluation(
            energy_per_atom=self._energy,
            embeddings=self._embeddings,
            statuses=tuple(self._status),
            messages=tuple(self._message),
            forces=self._forces,
            stress=self._stress,
            raw_energy_per_atom=self._raw,
        )


_ARTICLES = {"energy": "an energy", "embedding": "features", "forces": "forces", "stress": "a stress"}
_VERBS = {"energy": "is", "embedding": "are", "forces": "are", "stress": "is"}


def device_settings(device: str) -> dict[str, str]:
    """Return what a calculator on a torch device tells of its settings: a description that names it."""
    return {"device": f"torch device (here {device})"}


def digest_of(settings: Mapping[str, object]) -> str:
    """Return the SHA-256 (hex) of settings in canonical JSON."""
    text = json.dumps(settings, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
