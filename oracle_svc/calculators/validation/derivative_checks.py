"""Forces and stress against finite differences of the energy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from oracle_svc.calculators.validation.bench import Bench, CalculatorUnfitError, demand
from xenolith.crystal import Crystal

__all__ = ["check_forces", "check_stress"]


def check_forces(bench: Bench) -> None:
    """Forces are the negative derivative of the total energy by the positions."""
    if bench.calculator.offers_forces:
        for crystal in bench.crystals:
            _check_forces_of(bench, crystal)


def _check_forces_of(bench: Bench, crystal: Crystal) -> None:
    forces = bench.evaluate(crystal, with_forces=True).forces
    if forces is None:
        raise CalculatorUnfitError("offers_forces is True, but there are no forces")
    direction = bench.rng.normal(size=forces.shape)
    direction /= np.linalg.norm(direction)
    by_frac = direction @ np.linalg.inv(crystal.lattice)

    def moved(distance: float) -> Crystal:
        return replace(crystal, frac_coords=crystal.frac_coords + distance * by_frac)

    slope = _slope(bench, moved, bench.displacement)
    told = -float((forces * direction).sum())
    demand(
        abs(slope - told) <= bench.force_tolerance * (1 + float(np.abs(forces).max())),
        f"along a random displacement of {crystal!r} the energy rises by {slope:.5g} eV/A, but the forces "
        f"say {told:.5g}",
    )


def check_stress(bench: Bench) -> None:
    """Stress is the derivative of the total energy by the strain, divided by the volume."""
    if bench.calculator.offers_stress:
        for crystal in bench.crystals:
            _check_stress_of(bench, crystal)


def _check_stress_of(bench: Bench, crystal: Crystal) -> None:
    stress = bench.evaluate(crystal, with_forces=True).stress
    if stress is None:
        raise CalculatorUnfitError("offers_stress is True, but there is no stress")
    strain = bench.rng.normal(size=(3, 3))
    strain = (strain + strain.T) / np.linalg.norm(strain + strain.T)

    def strained(size: float) -> Crystal:
        return replace(crystal, lattice=crystal.lattice @ (np.eye(3) + size * strain))

    slope = _slope(bench, strained, bench.displacement / 2)
    told = float((stress[0] * strain).sum()) * crystal.volume
    largest = float(np.abs(stress).max()) * crystal.volume
    demand(
        abs(slope - told) <= bench.force_tolerance * (crystal.num_atoms + largest),
        f"under a random strain of {crystal!r} the energy rises by {slope:.5g} eV, but the stress, times the "
        f"volume, says {told:.5g} (eV/A^3, positive under tension?)",
    )


def _slope(bench: Bench, at: Callable[[float], Crystal], step: float) -> float:
    """Derivative of the total energy by a parameter at 0: five points, error of the fourth order."""
    points = [at(x * step) for x in (-2, -1, 1, 2)]
    far_left, left, right, far_right = bench.energies(*points) * points[0].num_atoms
    return float(far_left - 8 * left + 8 * right - far_right) / (12 * step)
