"""Relaxation and forces, from and to the contract's messages."""

from __future__ import annotations

import math

import numpy as np

from oracle_svc.pipeline.results import RelaxedScore, Score
from oracle_svc.relaxation import RelaxSettings
from oracle_svc.relaxation.settings import GPA
from xenolith.contract.wire import batch_to_proto, tensor_to_proto
from xenolith.crystal import CrystalBatch
from xenolith.errors import UnimplementedError, invalid_field
from xenolith.v1 import oracle_pb2

__all__ = ["fill_forces", "relax_settings_of", "relaxation_message"]

_ALGORITHMS = {oracle_pb2.RELAX_ALGORITHM_UNSPECIFIED, oracle_pb2.RELAX_ALGORITHM_FIRE}
_SCALARS = ("max_force", "energy_per_atom", "rmsd", "volume_ratio")


def relax_settings_of(options: oracle_pb2.RelaxOptions) -> RelaxSettings:
    """How a request wants its structures relaxed; what it leaves open is the oracle's default.

    Raises
    ------
    InvalidArgumentError
        A value is out of range; names the field.
    UnimplementedError
        An algorithm that this oracle does not have.
    """
    field = "settings.relax"
    if options.algorithm not in _ALGORITHMS:
        name = (
            oracle_pb2.RelaxAlgorithm.Name(options.algorithm) if options.algorithm < 4 else options.algorithm
        )
        raise UnimplementedError(
            f"{field}.algorithm: this oracle relaxes by FIRE, not by {name}; leave the algorithm out"
        )
    if options.HasField("max_steps") and options.max_steps < 1:
        raise invalid_field(f"{field}.max_steps", f"is {options.max_steps}, below 1")
    if options.HasField("fmax") and not (options.fmax > 0 and math.isfinite(options.fmax)):
        raise invalid_field(f"{field}.fmax", f"is {options.fmax:g}, no positive number")
    if not math.isfinite(options.pressure_gpa):
        raise invalid_field(f"{field}.pressure_gpa", f"is {options.pressure_gpa:g}, not finite")
    given = {
        name: getattr(options, name) for name in ("max_steps", "fmax", "relax_cell") if options.HasField(name)
    }
    return RelaxSettings(**given, fix_symmetry=options.fix_symmetry, pressure_gpa=options.pressure_gpa)


def relaxation_message(index: int, relaxation: RelaxedScore) -> oracle_pb2.Relaxation:
    """The message of one structure's relaxation."""
    outcome = relaxation.outcome
    message = oracle_pb2.Relaxation(converged=outcome.converged, steps=outcome.steps)
    message.status = int(outcome.status)  # type: ignore[assignment]  # our numbers are the contract's
    if outcome.message:
        message.message = f"structure {index}: {outcome.message}"
    for name in _SCALARS:
        value = getattr(outcome, name)
        if value is not None:
            setattr(message, name, value)
    if relaxation.e_above_hull is not None:
        message.e_above_hull = relaxation.e_above_hull
    if relaxation.crystal is not None:
        message.crystal.CopyFrom(batch_to_proto(CrystalBatch.from_crystals([relaxation.crystal])))
    return message


def fill_forces(message: oracle_pb2.StructureScore, score: Score) -> None:
    """Set forces and stress (in GPa), as far as they were measured."""
    if score.forces is not None:
        message.forces.forces.CopyFrom(tensor_to_proto(np.asarray(score.forces, dtype=np.float64)))
    if score.stress is not None:
        message.forces.stress.CopyFrom(tensor_to_proto(np.asarray(score.stress / GPA, dtype=np.float64)))
