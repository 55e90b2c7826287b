"""What a score request asks for, read from its message."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from oracle_svc.known.novelty.matcher import MatcherOptions
from oracle_svc.pipeline.results import Component, ScoreOptions
from oracle_svc.relaxation import RelaxSettings
from oracle_svc.status import Outcome, Status
from xenolith.contract.wire import batch_from_proto
from xenolith.crystal import CrystalBatch
from xenolith.errors import UnimplementedError, invalid_field
from xenolith.v1 import crystal_pb2, oracle_pb2

__all__ = ["crystals_of", "options_of"]

_DEFAULTS = ScoreOptions().components
_ALGORITHMS = {oracle_pb2.RELAX_ALGORITHM_UNSPECIFIED, oracle_pb2.RELAX_ALGORITHM_FIRE}


def crystals_of(message: crystal_pb2.CrystalBatch, field: str) -> tuple[CrystalBatch, dict[int, Outcome]]:
    """Crystals of a message, and the outcome of those that are disordered.

    Raises
    ------
    InvalidArgumentError
        The columns do not fit together.
    """
    if not message.HasField("occupancies"):
        return batch_from_proto(message, field), {}
    ordered = crystal_pb2.CrystalBatch()
    ordered.CopyFrom(message)
    ordered.ClearField("occupancies")
    batch = batch_from_proto(ordered, field)
    sites = _disordered_sites(message.occupancies, batch, f"{field}.occupancies")
    outcome = Outcome(
        status=Status.DISORDERED, message="it has partial or mixed site occupancies; send ordered crystals"
    )
    return batch, dict.fromkeys(np.flatnonzero(np.add.reduceat(sites, batch.offsets[:-1])).tolist(), outcome)


def options_of(request: oracle_pb2.ScoreRequest) -> ScoreOptions:
    """How a request wants to be scored.

    Raises
    ------
    InvalidArgumentError
        A value is out of range; names the field.
    UnimplementedError
        Something is asked for that the contract has and this oracle does not; says what to do instead.
    """
    settings = request.settings
    sameness = settings.sameness
    if sameness.metric not in oracle_pb2.SamenessMetric.values():
        raise invalid_field(
            "settings.sameness.metric", f"is {sameness.metric}, no metric that this version knows"
        )
    components = _components(request.components)
    if settings.HasField("relax") and Component.STABILITY not in components:
        raise invalid_field("settings.relax", "needs COMPONENT_STABILITY among the components asked for")
    by_matcher = sameness.metric == oracle_pb2.SAMENESS_METRIC_STRUCTURE_MATCHER
    known = None
    if request.HasField("known"):
        known, disordered = crystals_of(request.known, "known")
        if disordered:
            raise invalid_field(
                "known.occupancies", f"has disordered structures {sorted(disordered)}; leave them out"
            )
    return ScoreOptions(
        components=components,
        amd_tolerance=_positive(sameness, "amd_tolerance", allow_zero=True),
        matcher=_matcher_options(sameness) if by_matcher else None,
        known=known,
        properties=tuple(settings.properties),
        audit_calculator_ids=tuple(settings.audit_calculator_ids),
        structure_limit_s=_positive(settings, "structure_timeout_s"),
        relax=_relax_settings(settings.relax) if settings.HasField("relax") else None,
        return_relaxed=settings.relax.return_crystals,
        return_forces=settings.return_forces,
        return_amd=settings.return_amd,
        return_embeddings=settings.return_embeddings,
        use_cache=settings.use_cache if settings.HasField("use_cache") else True,
        reference_id=settings.reference_id,
    )


def _relax_settings(options: oracle_pb2.RelaxOptions) -> RelaxSettings:
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


def _components(asked: Sequence[int]) -> frozenset[Component]:
    chosen = set()
    for position, number in enumerate(asked):
        if number not in set(Component) and number in oracle_pb2.Component.values()[1:]:
            name = oracle_pb2.Component.Name(number).removeprefix("COMPONENT_").lower()
            raise UnimplementedError(f"{name} is not measured by this oracle; Describe lists what is")
        if number not in set(Component):
            raise invalid_field(f"components[{position}]", f"is {number}, no known component")
        chosen.add(Component(number))
    return frozenset(chosen | {Component.VALIDITY}) if chosen else _DEFAULTS


def _matcher_options(sameness: oracle_pb2.SamenessOptions) -> MatcherOptions:
    names = ("length_tolerance", "site_tolerance", "angle_tolerance")
    given = {name: _positive(sameness, name) for name in names}
    return MatcherOptions(**{name: value for name, value in given.items() if value is not None})


def _positive(message: Any, name: str, *, allow_zero: bool = False) -> float | None:
    if not message.HasField(name):
        return None
    value = float(getattr(message, name))
    if not math.isfinite(value) or value < 0 or (value == 0 and not allow_zero):
        raise invalid_field(f"settings.{name}", f"is {value:g}, expected a positive number")
    return value


def _disordered_sites(
    occupancies: crystal_pb2.SiteOccupancies, batch: CrystalBatch, field: str
) -> np.ndarray:
    """(T + 1,) 1 for every site that is not fully occupied by one element; the last entry is padding."""
    species = np.array(occupancies.species_per_site, dtype=np.int64)
    fractions = np.array(occupancies.fractions, dtype=np.float64)
    if len(species) != batch.total_atoms or (len(species) and species.min() < 1):
        raise invalid_field(
            f"{field}.species_per_site", f"needs a count >= 1 for each of {batch.total_atoms} sites"
        )
    total = int(species.sum())
    if len(fractions) != total or len(occupancies.numbers) != total:
        raise invalid_field(f"{field}.fractions", f"and numbers need {total} entries, one per species")
    first = np.cumsum(species) - species
    full = (species == 1) & (np.abs(fractions[first] - 1.0) < 1e-9)
    return np.append(~full, False).astype(np.int64)
