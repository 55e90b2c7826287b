"""The oracle in this process: cold, part by part, and the bare energies that it is made of."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.oracle_parts.clock import clock_of
from oracle_svc.cache import open_cache
from oracle_svc.crystals.validity import ValidityLimits
from oracle_svc.known.novelty.matcher import PairMatcher
from oracle_svc.known.reference.folder import Reference
from oracle_svc.pipeline.resources import Resources
from oracle_svc.pipeline.results import Component, ScoredBatch, ScoreOptions
from oracle_svc.pipeline.scorer import Scorer
from oracle_svc.pools.calculator_pool import CalculatorPool
from xenolith.bundle import find_bundle
from xenolith.crystal import CrystalBatch

COMPONENTS = frozenset(
    {
        Component.VALIDITY,
        Component.STABILITY,
        Component.NOVELTY,
        Component.UNIQUENESS,
        Component.STRUCTURE_DIVERSITY,
        Component.COMPOSITION_DIVERSITY,
    }
)


@dataclass(frozen=True, kw_only=True)
class Cold:
    """One batch that no cache knows."""

    whole_s: float
    energy_s: float
    """Of the same structures' energies alone, in batches, by the same worker."""
    parts_s: Mapping[str, float]
    scored: ScoredBatch


@contextmanager
def opened(calculator: str, settings: Mapping[str, Any], workers: int = 1) -> Iterator[CalculatorPool]:
    pool = CalculatorPool(calculator=calculator, settings=settings, workers=workers)
    try:
        yield pool
    finally:
        pool.close()


def reference_for(pool: CalculatorPool) -> Reference:
    """The shipped reference. For another calculator than its own it is taken all the same: what is measured
    here is time, and the serial path places its energies on the same hull."""
    reference = Reference.read(find_bundle("mp20-small").reference)
    identity = pool.identity
    if reference.calculator_digest != identity.settings_digest:
        reference.info["calculator"] |= {"settings_digest": identity.settings_digest, "id": identity.id}
    return reference


def cold(pool: CalculatorPool, reference: Reference, batch: CrystalBatch, folder: Path, kind: str) -> Cold:
    """Score a batch with an empty cache, then its energies alone."""
    now = clock_of(kind, pool.pids)
    scorer = Scorer(
        Resources(
            calculators=pool,
            references=[reference],
            cache=open_cache(f"sqlite:///{folder}/{time.time_ns()}.db"),
            limits=ValidityLimits(),
            matcher=PairMatcher(),
        )
    )
    begin = now()
    scored = scorer.score(batch, ScoreOptions(components=COMPONENTS), stop=lambda: False)
    whole = now() - begin
    good = [index for index, score in enumerate(scored.scores) if score.valid]
    begin = now()
    pool.evaluate(batch.take(good))
    energy = now() - begin
    scorer.resources.store.cache.close()
    return Cold(whole_s=whole, energy_s=energy, parts_s=dict(scored.stats.seconds), scored=scored)


def figures(runs: list[Cold], count: int) -> dict[str, Any]:
    """Medians over repetitions, per structure."""
    parts = sorted({name for run in runs for name in run.parts_s})
    return {
        "cold_ms": 1e3 * median(run.whole_s for run in runs) / count,
        "energy_alone_ms": 1e3 * median(run.energy_s for run in runs) / count,
        "parts_ms": {
            name: 1e3 * median(run.parts_s.get(name, 0.0) for run in runs) / count for name in parts
        },
        "overhead_ratio": median(run.whole_s / run.energy_s for run in runs),
        "valid": int(np.mean([sum(bool(s.valid) for s in run.scored.scores) for run in runs])),
    }


def pin(core: int | None) -> None:
    """Keep this process, and what it starts, on one core."""
    if core is not None:
        os.sched_setaffinity(0, {core})
