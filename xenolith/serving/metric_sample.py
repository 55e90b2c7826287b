"""One value that a service counts itself, for Prometheus, free of any metrics library."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["MetricSample"]


@dataclass(frozen=True, kw_only=True)
class MetricSample:
    """The value of a metric at this moment."""

    name: str
    """Such as ``xenolith_oracle_cache_hits``; a counter is shown with ``_total`` behind it."""
    help: str
    """What it counts, in a sentence."""
    value: float
    """How much."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Labels by name, the same names for every figure of the name."""
    kind: Literal["counter", "gauge"] = "counter"
    """A counter only grows."""
