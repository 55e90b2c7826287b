"""The stages that a batch goes through, in order.

Each sees the structures that the stages before it let through, and gives the others a typed status.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from oracle_svc.pipeline.audit import ask_auditors
from oracle_svc.pipeline.batch import Batch
from oracle_svc.pipeline.compare import compare
from oracle_svc.pipeline.diversity import measure_diversity
from oracle_svc.pipeline.forces import move_atoms
from oracle_svc.pipeline.hull import place_on_hull
from oracle_svc.pipeline.measure import look_up, measure_amd, measure_energies
from oracle_svc.pipeline.properties import predict_properties
from oracle_svc.pipeline.recognise import recognise
from oracle_svc.pipeline.results import ScoredBatch

__all__ = ["STAGES", "Stage", "run_stages"]


@dataclass(frozen=True)
class Stage:
    """A step of scoring."""

    name: str
    """Under which its seconds are reported."""
    run: Callable[[Batch], None]
    """Does its work on a batch; nothing where nothing is asked of it."""


STAGES = (
    Stage("recognition", recognise),
    Stage("cache", look_up),
    Stage("energy", measure_energies),
    Stage("amd", measure_amd),
    Stage("hull", place_on_hull),
    Stage("forces", move_atoms),
    Stage("comparison", compare),
    Stage("properties", predict_properties),
    Stage("audit", ask_auditors),
    Stage("diversity", measure_diversity),
)


def run_stages(batch: Batch) -> ScoredBatch:
    """Take a batch through all stages.

    Raises
    ------
    WorkerStoppedError
        `batch.stop` said so.
    """
    for stage in STAGES:
        batch.check_stop()
        begin = time.perf_counter()
        stage.run(batch)
        batch.stats.seconds[stage.name] = time.perf_counter() - begin
    outage = batch.resources.store.cache.outage if batch.options.use_cache else None
    return ScoredBatch(
        scores=tuple(batch.scores),
        provenance=batch.provenance,
        stats=batch.stats,
        warnings=(*batch.warnings, *([outage] if outage else [])),
        shares=batch.shares() if batch.separate else (),
    )
