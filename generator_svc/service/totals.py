"""Running totals of what a generator has done since it started, for Prometheus."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from threading import Lock

from xenolith.serving.metric_sample import SIZES, Distribution, MetricSample

__all__ = ["Totals"]

_COUNTS = {
    "samples": "Crystals sampled.",
    "policy_updates": "Policies that replaced another.",
}


class Totals:
    """Running totals of all calls. Thread-safe."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._counts: Counter[str] = Counter()
        self._requested = Distribution(SIZES)
        self._together = Distribution(SIZES)

    def requested(self, samples: int) -> None:
        """Count a request to sample."""
        self._requested.add(samples)

    def sampled(self, samples: int) -> None:
        """Count samples that were computed together."""
        self._together.add(samples)
        with self._lock:
            self._counts["samples"] += samples

    def updated(self) -> None:
        """Count an update of the policy."""
        with self._lock:
            self._counts["policy_updates"] += 1

    def metric_samples(self) -> Iterator[MetricSample]:
        """Return the totals."""
        with self._lock:
            counts = dict(self._counts)
        for name, meaning in _COUNTS.items():
            yield MetricSample(name=f"xenolith_generator_{name}", help=meaning, value=counts.get(name, 0))
        yield self._requested.sample("xenolith_generator_request_samples", "Samples asked for by a request.")
        yield self._together.sample("xenolith_generator_batch_samples", "Samples computed together.")
