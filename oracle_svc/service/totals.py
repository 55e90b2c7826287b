"""Running totals of what an oracle has done since it started, for Prometheus."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from threading import Lock

from oracle_svc.cache import Cache
from oracle_svc.pipeline.results import ScoredBatch
from xenolith.serving.metric_sample import SIZES, Distribution, MetricSample

__all__ = ["Totals"]

_COUNTS = {
    "cache_hits": "Measurements taken from the cache.",
    "cache_misses": "Measurements computed.",
    "calculator_calls": "Structures handed to a calculator.",
    "batches": "Requests scored.",
    "merged_requests": "Of them, those scored in common batches.",
    "merged_batches": "Common batches.",
}


class Totals:
    """Running totals of all batches. Thread-safe."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._counts: Counter[str] = Counter()
        self._statuses: Counter[str] = Counter()
        self._seconds: Counter[str] = Counter()
        self._together = Distribution(SIZES)

    def add(self, scored: ScoredBatch) -> None:
        """Count a batch; one that is common to several requests counts as so many."""
        stats, merged = scored.stats, len(scored.shares)
        statuses = Counter(score.verdict.status.name for score in scored.scores)
        self._together.add(len(scored.scores))
        with self._lock:
            self._counts["batches"] += merged or 1
            self._counts["merged_requests"] += merged
            self._counts["merged_batches"] += bool(merged)
            for name in ("cache_hits", "cache_misses", "calculator_calls"):
                self._counts[name] += getattr(stats, name)
            self._statuses.update(statuses)
            for stage, seconds in stats.seconds.items():
                self._seconds[stage] += seconds  # type: ignore[assignment]  # a Counter holds floats as well

    def metric_samples(self, cache: Cache) -> Iterator[MetricSample]:
        """Return the totals, and whether the cache works."""
        with self._lock:
            counts, statuses, seconds = dict(self._counts), dict(self._statuses), dict(self._seconds)
        for name, meaning in _COUNTS.items():
            yield MetricSample(name=f"xenolith_oracle_{name}", help=meaning, value=counts.get(name, 0))
        yield self._together.sample("xenolith_oracle_batch_structures", "Structures scored together.")
        for status, number in sorted(statuses.items()):
            yield MetricSample(
                name="xenolith_oracle_structures",
                help="Structures scored, by status.",
                value=number,
                labels={"status": status},
            )
        for stage, spent in sorted(seconds.items()):
            yield MetricSample(
                name="xenolith_oracle_stage_seconds",
                help="Seconds spent, by stage.",
                value=spent,
                labels={"stage": stage},
            )
        yield MetricSample(
            name="xenolith_oracle_cache_up",
            help="1 while the cache is read and written, else 0.",
            value=float(cache.outage is None),
            kind="gauge",
        )
