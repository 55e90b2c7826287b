"""Answers of a calculator's process, and how an evaluation travels to the service."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from oracle_svc.calculators.base import Calculator, Evaluation
from oracle_svc.status import Status
from xenolith.crystal import CrystalBatch

__all__ = ["CalculatorIdentity", "pack_batch", "unpack_evaluation", "worker"]

_ARRAYS = ("embeddings", "forces", "stress", "raw_energy_per_atom")


@dataclass(frozen=True, kw_only=True)
class CalculatorIdentity:
    """Name, version and abilities of a calculator, as it gives them itself."""

    id: str
    """Model and parameters, such as `chgnet-0.3.0`."""
    version: str
    """Version of the software that evaluates it."""
    scheme: str
    """Energy scheme; different schemes never share a hull."""
    licence: str
    """Licence of model or code."""
    elements: frozenset[int]
    """Atomic numbers covered."""
    embedding_size: int
    """Length of its embeddings, 0 if it has none."""
    settings_digest: str
    """SHA-256 (hex) of everything that changes its numbers."""
    offers_forces: bool
    """Whether it can give forces."""
    offers_stress: bool
    """Whether it can give stress."""
    long_running: bool = False
    """Whether a structure takes minutes or more."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Names of its settings, each with a description."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """Their values, resolved: JSON."""

    @classmethod
    def unpack(cls, answer: Mapping[str, Any]) -> CalculatorIdentity:
        """Identity that a process told."""
        return cls(**{**answer, "elements": frozenset(answer["elements"])})


_TOLD = tuple(CalculatorIdentity.__dataclass_fields__)


def worker(*, calculator: str, settings: dict[str, Any]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Handler of a worker process: evaluates the batch of a request."""
    from oracle_svc.calculators import open_calculator

    loaded: Calculator = open_calculator(calculator, **settings)

    def evaluate(request: dict[str, Any]) -> dict[str, Any]:
        if "describe" in request:
            own = {name: getattr(loaded, name) for name in _TOLD if hasattr(loaded, name)}
            return own | {"elements": sorted(loaded.elements)}
        with_forces = request.pop("with_forces")
        evaluation = loaded.evaluate(CrystalBatch(**request), with_forces=with_forces)
        return pack_evaluation(evaluation)

    return evaluate


def pack_batch(batch: CrystalBatch, *, with_forces: bool) -> dict[str, Any]:
    """A request to evaluate a batch."""
    return {
        "num_atoms": batch.num_atoms,
        "lattices": batch.lattices,
        "numbers": batch.numbers,
        "frac_coords": batch.frac_coords,
        "with_forces": with_forces,
    }


def pack_evaluation(evaluation: Evaluation) -> dict[str, Any]:
    """The answer that carries an evaluation."""
    return {
        "energy_per_atom": evaluation.energy_per_atom,
        "statuses": [int(status) for status in evaluation.statuses],
        "messages": list(evaluation.messages),
        **{n: getattr(evaluation, n) for n in _ARRAYS if getattr(evaluation, n) is not None},
    }


def unpack_evaluation(answer: Mapping[str, Any]) -> Evaluation:
    """The evaluation that an answer carries."""
    return Evaluation(
        energy_per_atom=answer["energy_per_atom"],
        statuses=tuple(Status(value) for value in answer["statuses"]),
        messages=tuple(answer["messages"]),
        **{name: answer.get(name) for name in _ARRAYS},
    )
