"""Scores and their options, from and to the contract's messages."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from oracle_svc.known.novelty.matcher import MatcherOptions
from oracle_svc.pipeline.results import Audit, Component, Provenance, Score, ScoredBatch, ScoreOptions
from oracle_svc.service.relax_messages import fill_forces, relax_settings_of, relaxation_message
from oracle_svc.status import Outcome, Status
from xenolith.contract.wire import batch_from_proto
from xenolith.crystal import CrystalBatch
from xenolith.errors import UnimplementedError, invalid_field
from xenolith.v1 import crystal_pb2, oracle_pb2

__all__ = ["crystals_of", "options_of", "response_of"]

_DEFAULTS = ScoreOptions().components
_SCALARS = (
    "valid", "min_distance", "density", "volume_per_atom", "charge_neutral", "energy_per_atom",
    "e_above_hull", "formation_energy_per_atom", "novel", "nearest_reference", "amd_distance",
    "elmd_distance", "unique", "duplicate_of", "batch_amd_distance", "structure_diversity",
    "composition_diversity", "continuous_uniqueness", "continuous_novelty",
)  # fmt: skip


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
        relax=relax_settings_of(settings.relax) if settings.HasField("relax") else None,
        return_relaxed=settings.relax.return_crystals,
        return_forces=settings.return_forces,
        return_amd=settings.return_amd,
        return_embeddings=settings.return_embeddings,
        use_cache=settings.use_cache if settings.HasField("use_cache") else True,
        reference_id=settings.reference_id,
    )


def response_of(scored: ScoredBatch, service_version: str) -> oracle_pb2.ScoreResponse:
    """The answer that carries a scored batch."""
    stats = scored.stats
    return oracle_pb2.ScoreResponse(
        scores=[_score(index, score) for index, score in enumerate(scored.scores)],
        provenance=_provenance(scored.provenance, service_version),
        stats=oracle_pb2.ScoreStats(
            cache_hits=stats.cache_hits,
            cache_misses=stats.cache_misses,
            calculator_calls=stats.calculator_calls,
            seconds=stats.seconds,
        ),
        warnings=scored.warnings,
    )


def _score(index: int, score: Score) -> oracle_pb2.StructureScore:
    verdict = score.verdict
    message = oracle_pb2.StructureScore(message=_prefixed(index, verdict.message), formula=score.formula)
    message.status = int(verdict.status)  # type: ignore[assignment]  # our numbers are the contract's
    for name in _SCALARS:
        value = getattr(score, name)
        if value is not None:
            setattr(message, name, value)
    if score.novel is not None and score.nearest_reference is None:
        message.nearest_reference = ""
    for component in sorted(score.outcomes):
        outcome = score.outcomes[component]
        message.components.add(
            component=int(component),
            status=int(outcome.status),
            message=_prefixed(index, outcome.message),
            cached=outcome.cached,
        )
    for phase in score.decomposition:
        message.decomposition.add(id=phase.id, formula=phase.formula, fraction=phase.fraction)
    if score.relaxation is not None:
        message.relaxation.CopyFrom(relaxation_message(index, score.relaxation))
    fill_forces(message, score)
    message.properties.update(score.properties)
    message.audits.extend(_audit(index, audit) for audit in score.audits)
    if score.amd is not None:
        message.amd.extend(score.amd.tolist())
    if score.embedding is not None:
        message.embedding.extend(score.embedding.tolist())
    return message


def _audit(index: int, audit: Audit) -> oracle_pb2.Audit:
    message = oracle_pb2.Audit(
        calculator_id=audit.calculator_id, message=_prefixed(index, audit.message), hull_id=audit.hull_id
    )
    message.status = int(audit.status)  # type: ignore[assignment]  # our numbers are the contract's
    for name in ("energy_per_atom", "e_above_hull", "formation_energy_per_atom"):
        if getattr(audit, name) is not None:
            setattr(message, name, getattr(audit, name))
    return message


def _provenance(provenance: Provenance, service_version: str) -> oracle_pb2.ScoreProvenance:
    message = oracle_pb2.ScoreProvenance(
        calculator_id=provenance.calculator_id,
        calculator_version=provenance.calculator_version,
        reference_id=provenance.reference_id,
        hull_id=provenance.hull_id,
        settings_digest=provenance.settings_digest,
        service_version=service_version,
        diversity_features=provenance.diversity_features,
        property_digests=provenance.property_digests,
    )
    if provenance.calculator_settings:
        message.calculator_settings.update(dict(provenance.calculator_settings))
    sameness = message.sameness
    sameness.metric = oracle_pb2.SAMENESS_METRIC_AMD
    sameness.amd_tolerance = provenance.amd_tolerance
    if provenance.matcher is not None:
        sameness.metric = oracle_pb2.SAMENESS_METRIC_STRUCTURE_MATCHER
        sameness.length_tolerance = provenance.matcher.length_tolerance
        sameness.site_tolerance = provenance.matcher.site_tolerance
        sameness.angle_tolerance = provenance.matcher.angle_tolerance
    return message


def _prefixed(index: int, text: str) -> str:
    return f"structure {index}: {text}" if text else ""


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
