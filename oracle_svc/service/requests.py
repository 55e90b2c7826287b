"""Reads score requests: structures and options from the contract's messages."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oracle_svc.known.novelty.matcher import MatcherOptions
from oracle_svc.pipeline.results import Component, ScoreOptions
from oracle_svc.relaxation import RelaxSettings
from oracle_svc.status import Outcome, Status
from xenolith.contract.wire import batch_from_proto
from xenolith.crystal import CrystalBatch
from xenolith.errors import invalid_field
from xenolith.v1 import crystal_pb2, oracle_pb2

__all__ = ["crystals_of", "options_of"]

_TOLERANCES = ("length_tolerance", "site_tolerance", "angle_tolerance")


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


def options_of(request: oracle_pb2.ScoreRequest, components: Iterable[int]) -> ScoreOptions:
    """How a request that `check_score_request` let through wants to be scored.

    Parameters
    ----------
    request
        As it came.
    components
        What it asks for, resolved.

    Raises
    ------
    InvalidArgumentError
        The crystals that are to count as known do not fit together, or are disordered.
    """
    settings = request.settings
    sameness = settings.sameness
    by_matcher = sameness.metric == oracle_pb2.SAMENESS_METRIC_STRUCTURE_MATCHER
    known = None
    if request.HasField("known"):
        known, disordered = crystals_of(request.known, "known")
        if disordered:
            raise invalid_field(
                "known.occupancies", f"has disordered structures {sorted(disordered)}; leave them out"
            )
    return ScoreOptions(
        components=frozenset(map(Component, components)),
        amd_tolerance=_given(sameness, "amd_tolerance").get("amd_tolerance"),
        matcher=MatcherOptions(**_given(sameness, *_TOLERANCES)) if by_matcher else None,
        known=known,
        properties=tuple(settings.properties),
        audit_calculator_ids=tuple(settings.audit_calculator_ids),
        structure_limit_s=_given(settings, "structure_timeout_s").get("structure_timeout_s"),
        relax=_relax_settings(settings.relax) if settings.HasField("relax") else None,
        return_relaxed=settings.relax.return_crystals,
        return_forces=settings.return_forces,
        return_amd=settings.return_amd,
        return_embeddings=settings.return_embeddings,
        use_cache=settings.use_cache if settings.HasField("use_cache") else True,
        reference_id=settings.reference_id,
    )


def _relax_settings(options: oracle_pb2.RelaxOptions) -> RelaxSettings:
    """How a request wants its structures relaxed; what it leaves open is the oracle's default."""
    return RelaxSettings(
        **_given(options, "max_steps", "fmax", "relax_cell"),
        fix_symmetry=options.fix_symmetry,
        pressure_gpa=options.pressure_gpa,
    )


def _given(message: Any, *names: str) -> dict[str, Any]:
    """Return those of these fields that are set."""
    return {name: getattr(message, name) for name in names if message.HasField(name)}


def _disordered_sites(
    occupancies: crystal_pb2.SiteOccupancies, batch: CrystalBatch, field: str
) -> NDArray[np.int64]:
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
