"""Scores as the contract's messages."""

from __future__ import annotations

import numpy as np

from oracle_svc.pipeline.results import Audit, Provenance, RelaxedScore, Score, ScoredBatch
from oracle_svc.relaxation.settings import GPA
from xenolith.contract.columns import RELAXED_NUMBERS, SCALARS
from xenolith.contract.structure_messages import StructureMessage
from xenolith.contract.wire import batch_to_proto, tensor_to_proto
from xenolith.crystal import CrystalBatch
from xenolith.v1 import oracle_pb2

__all__ = ["response_of"]


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
    message = oracle_pb2.StructureScore(formula=score.formula)
    StructureMessage.about(index, verdict.message).fill(message)
    message.status = int(verdict.status)  # type: ignore[assignment]  # our numbers are the contract's
    for name in SCALARS:
        value = getattr(score, name)
        if value is not None:
            setattr(message, name, value)
    if score.novel is not None and score.nearest_reference is None:
        message.nearest_reference = ""
    for component in sorted(score.outcomes):
        outcome = score.outcomes[component]
        result = message.components.add(
            component=int(component), status=int(outcome.status), cached=outcome.cached
        )
        StructureMessage.about(index, outcome.message).fill(result)
    for phase in score.decomposition:
        message.decomposition.add(id=phase.id, formula=phase.formula, fraction=phase.fraction)
    if score.relaxation is not None:
        message.relaxation.CopyFrom(_relaxation(index, score.relaxation))
    _fill_forces(message, score)
    message.properties.update(score.properties)
    message.audits.extend(_audit(index, audit) for audit in score.audits)
    if score.amd is not None:
        message.amd.extend(score.amd.tolist())
    if score.embedding is not None:
        message.embedding.extend(score.embedding.tolist())
    return message


def _relaxation(index: int, relaxation: RelaxedScore) -> oracle_pb2.Relaxation:
    """The message of one structure's relaxation."""
    outcome = relaxation.outcome
    message = oracle_pb2.Relaxation(converged=outcome.converged, steps=outcome.steps)
    StructureMessage.about(index, outcome.message).fill(message)
    message.status = int(outcome.status)  # type: ignore[assignment]  # our numbers are the contract's
    for name in RELAXED_NUMBERS:
        # The relaxation knows the rest by itself; the hull, only the pipeline.
        value = relaxation.e_above_hull if name == "e_above_hull" else getattr(outcome, name)
        if value is not None:
            setattr(message, name, value)
    if relaxation.crystal is not None:
        message.crystal.CopyFrom(batch_to_proto(CrystalBatch.from_crystals([relaxation.crystal])))
    return message


def _fill_forces(message: oracle_pb2.StructureScore, score: Score) -> None:
    """Set forces and stress (in GPa), as far as they were measured."""
    if score.forces is not None:
        message.forces.forces.CopyFrom(tensor_to_proto(np.asarray(score.forces, dtype=np.float64)))
    if score.stress is not None:
        message.forces.stress.CopyFrom(tensor_to_proto(np.asarray(score.stress / GPA, dtype=np.float64)))


def _audit(index: int, audit: Audit) -> oracle_pb2.Audit:
    message = oracle_pb2.Audit(calculator_id=audit.calculator_id, hull_id=audit.hull_id)
    StructureMessage.about(index, audit.message).fill(message)
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
        calculator_scheme=provenance.calculator_scheme,
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
