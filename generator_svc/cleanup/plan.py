"""Which clean-up a request wants, and doing it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from generator_svc.cleanup.relax import Relaxed
from generator_svc.cleanup.symmetrize import symmetrize
from xenolith.crystal import CrystalBatch
from xenolith.errors import FailedPreconditionError, invalid_field
from xenolith.v1 import generator_pb2

__all__ = ["MAX_RELAX_STEPS", "MAX_TOLERANCE", "Cleaned", "CleanupPlan", "Relaxer", "clean", "cleanup_plan"]

MAX_TOLERANCE = 1.0
"""Largest symmetrisation tolerance, Angstrom: beyond it distinct sites fall together."""
MAX_RELAX_STEPS = 200
"""Most relaxation steps: clean-up is bounded; a full relaxation is the oracle's own."""

Relaxer = Callable[[CrystalBatch, int], Relaxed]
"""Relaxes a batch for at most so many steps."""


@dataclass(frozen=True, kw_only=True)
class CleanupPlan:
    """Checked clean-up settings."""

    symmetrize_tolerance: float | None = None
    """Angstrom; None leaves symmetry alone."""
    relax_steps: int = 0
    """Most relaxation steps; 0 leaves geometry alone."""


@dataclass(frozen=True, kw_only=True)
class Cleaned:
    """Crystals and what was done to them."""

    crystals: CrystalBatch
    steps: tuple[str, ...] = ()
    """Names for provenance, in order, such as ``symmetrize(0.1)``."""


def cleanup_plan(message: generator_pb2.Cleanup, *, can_relax: bool) -> CleanupPlan:
    """Check a Cleanup message.

    Raises
    ------
    InvalidArgumentError
        A setting is out of range.
    FailedPreconditionError
        Relaxation is wanted and this generator was given no oracle.
    """
    tolerance = message.symmetrize_tolerance if message.HasField("symmetrize_tolerance") else None
    if tolerance is not None and not 0 < tolerance <= MAX_TOLERANCE:
        raise invalid_field(
            "cleanup.symmetrize_tolerance",
            f"is {tolerance:g}, must be above 0 and at most {MAX_TOLERANCE:g} A",
        )
    if not 0 <= message.relax_steps <= MAX_RELAX_STEPS:
        raise invalid_field(
            "cleanup.relax_steps", f"is {message.relax_steps}, must be 0 to {MAX_RELAX_STEPS}"
        )
    if message.relax_steps and not can_relax:
        raise FailedPreconditionError(
            "cleanup.relax_steps needs an oracle: start the generator with --cleanup-oracle HOST:PORT"
        )
    return CleanupPlan(symmetrize_tolerance=tolerance, relax_steps=message.relax_steps)


def clean(crystals: CrystalBatch, plan: CleanupPlan, relaxer: Relaxer | None) -> Cleaned:
    """Relax first, so that symmetry is found in a sensible geometry, then symmetrise."""
    done: list[str] = []
    if plan.relax_steps and relaxer is not None and len(crystals):
        relaxed = relaxer(crystals, plan.relax_steps)
        crystals = CrystalBatch.from_crystals(relaxed.crystals)
        done.append(f"relax({plan.relax_steps}, {relaxed.calculator_id})")
    if plan.symmetrize_tolerance is not None:
        tolerance = plan.symmetrize_tolerance
        crystals = CrystalBatch.from_crystals(
            symmetrize(crystal, tolerance) if np.isfinite(crystal.lattice).all() else crystal
            for crystal in crystals
        )
        done.append(f"symmetrize({tolerance:g})")
    return Cleaned(crystals=crystals, steps=tuple(done))
