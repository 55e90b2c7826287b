"""One value that a service counts itself, for Prometheus, free of any metrics library."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from threading import Lock
from typing import Literal

__all__ = ["SECONDS", "SIZES", "Distribution", "MetricSample"]

SECONDS = (
    *(step / 1000 * 10**power for power in range(4) for step in (1.0, 2.5, 5.0)),
    *(10.0, 30.0, 60.0, 300.0, 1800.0),
)
"""Upper bounds of a histogram of durations, seconds."""
SIZES = tuple(float(2**power) for power in range(15))
"""Upper bounds of a histogram of batches, structures."""


@dataclass(frozen=True, kw_only=True)
class MetricSample:
    """The value of a metric at this moment."""

    name: str
    """Such as ``xenolith_oracle_cache_hits``; a counter is shown with ``_total`` behind it."""
    help: str
    """What it counts, in a sentence."""
    value: float
    """How much; of a histogram, the sum of all values."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Labels by name, the same names for every figure of the name."""
    kind: Literal["counter", "gauge", "histogram"] = "counter"
    """A counter only grows."""
    buckets: Sequence[tuple[float, int]] = ()
    """Of a histogram: upper bounds, the last infinite, and how many values are no larger."""


class Distribution:
    """How values are spread, as a histogram counts them. Thread-safe.

    Parameters
    ----------
    bounds
        Upper bounds of its buckets, rising.
    """

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = (*bounds, float("inf"))
        self._counts = [0] * len(self._bounds)
        self._sum = 0.0
        self._lock = Lock()

    def add(self, value: float) -> None:
        """Count a value."""
        with self._lock:
            self._counts[bisect_left(self._bounds, value)] += 1
            self._sum += value

    def sample(self, name: str, meaning: str) -> MetricSample:
        """Return it as it is now; `meaning` is its help."""
        with self._lock:
            counts, total = list(self._counts), self._sum
        buckets = tuple(zip(self._bounds, accumulate(counts), strict=True))
        return MetricSample(name=name, help=meaning, value=total, kind="histogram", buckets=buckets)
