"""Inputs that calculators are checked with: the calculator, some crystals, tolerances."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from oracle_svc.calculators.base import Calculator, Evaluation
from oracle_svc.status import Status
from xenolith.crystal import Crystal, CrystalBatch

__all__ = ["Bench", "CalculatorUnfitError", "demand"]


class CalculatorUnfitError(Exception):
    """A demand is not met; the message says which value differs from which."""


@dataclass(frozen=True, kw_only=True)
class Bench:
    """A calculator with what it is tried on."""

    calculator: Calculator
    crystals: list[Crystal]
    """Crystals that it evaluates."""
    energy_tolerance: float
    """eV/atom."""
    force_tolerance: float
    """Allowed error of a force, eV/Angstrom, and of a stress times the volume per atom, eV; and the allowed
    share of the largest of either."""
    seed: int
    """Seed of whatever is random."""
    displacement: float = field(default=0.01)
    """Step of the finite differences: Angstrom for atoms, a half of it as strain for cells."""

    @property
    def rng(self) -> np.random.Generator:
        """Random numbers, the same for every check."""
        return np.random.default_rng(self.seed)

    def evaluate(self, *crystals: Crystal, with_forces: bool = False) -> Evaluation:
        """Evaluate crystals together."""
        return self.calculator.evaluate(CrystalBatch.from_crystals(crystals), with_forces=with_forces)

    def energies(self, *crystals: Crystal) -> NDArray[np.float64]:
        """Energies (B,) of crystals that must have one, eV/atom."""
        result = self.evaluate(*crystals)
        for crystal, status, message in zip(crystals, result.statuses, result.messages, strict=True):
            if status is not Status.OK:
                raise CalculatorUnfitError(f"{crystal!r} is good, but its status is {status.name}: {message}")
        return result.energy_per_atom


def demand(met: bool, otherwise: str) -> None:
    """Raise `CalculatorUnfitError` unless a demand is met."""
    if not met:
        raise CalculatorUnfitError(otherwise)
