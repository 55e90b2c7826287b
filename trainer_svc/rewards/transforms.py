"""Transforms: how a measured quantity becomes a value; the contract's RewardTransform, field by field."""

from typing import Protocol

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from trainer_svc.rewards.measurements import FloatColumn

__all__ = ["Transform"]


class _Kind(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class _Function(Protocol):
    def __call__(self, x: FloatColumn) -> FloatColumn: ...


class Linear(_Kind):
    """``scale * x + offset``."""

    scale: float = 1.0
    offset: float = 0.0

    def __call__(self, x: FloatColumn) -> FloatColumn:
        """Apply to a column; NaN stays NaN (true of every transform)."""
        return self.scale * x + self.offset


class Clamp(_Kind):
    """``scale * min(max(x, low), high) + offset``; a negative scale makes less better."""

    low: float = 0.0
    high: float = 1.0
    scale: float = 1.0
    offset: float = 0.0

    @model_validator(mode="after")
    def _ordered(self) -> "Clamp":
        if not self.low < self.high:
            raise ValueError(f"low ({self.low}) must be below high ({self.high})")
        return self

    def __call__(self, x: FloatColumn) -> FloatColumn:
        """Apply to a column."""
        return self.scale * np.clip(x, self.low, self.high) + self.offset


class Target(_Kind):
    """``-((x - target) / width)^2``: best at a value, for example a band gap of 3 eV."""

    target: float
    width: float = Field(default=1.0, gt=0.0)

    def __call__(self, x: FloatColumn) -> FloatColumn:
        """Apply to a column."""
        return -(((x - self.target) / self.width) ** 2)


class Sigmoid(_Kind):
    """``1 / (1 + exp(-(x - midpoint) / width))``; a negative width makes less better."""

    midpoint: float
    width: float

    @model_validator(mode="after")
    def _has_width(self) -> "Sigmoid":
        if self.width == 0.0:
            raise ValueError("width must not be 0; use a threshold for a step")
        return self

    def __call__(self, x: FloatColumn) -> FloatColumn:
        """Apply to a column."""
        # The clip only avoids overflow: beyond 60 widths the result is 0 or 1 in float64 anyway.
        return 1.0 / (1.0 + np.exp(-np.clip((x - self.midpoint) / self.width, -60.0, 60.0)))


class Threshold(_Kind):
    """1 on the wanted side of a threshold, else 0."""

    threshold: float
    below: bool = False

    def __call__(self, x: FloatColumn) -> FloatColumn:
        """Apply to a column."""
        wanted = x < self.threshold if self.below else x > self.threshold
        return np.where(np.isnan(x), np.nan, wanted.astype(np.float64))


class Decay(_Kind):
    """``exp(-max(x, 0) / scale)``."""

    scale: float = Field(gt=0.0)

    def __call__(self, x: FloatColumn) -> FloatColumn:
        """Apply to a column."""
        return np.exp(-np.maximum(x, 0.0) / self.scale)


class Range(_Kind):
    """0 inside ``[low, high]``, ``-(d / width)^2`` at a distance d outside: all of a range is as good."""

    low: float
    high: float
    width: float = Field(default=1.0, gt=0.0)

    @model_validator(mode="after")
    def _ordered(self) -> "Range":
        if not self.low < self.high:
            raise ValueError(f"low ({self.low}) must be below high ({self.high})")
        return self

    def __call__(self, x: FloatColumn) -> FloatColumn:
        """Apply to a column."""
        return -(((x - np.clip(x, self.low, self.high)) / self.width) ** 2)


class Transform(_Kind):
    """At most one function; none is the identity."""

    linear: Linear | None = None
    clamp: Clamp | None = None
    target: Target | None = None
    sigmoid: Sigmoid | None = None
    threshold: Threshold | None = None
    decay: Decay | None = None
    range: Range | None = None

    @property
    def never_negative(self) -> bool:
        """Whether its values are 0 at least, whatever is measured."""
        return any((self.sigmoid, self.threshold, self.decay))

    @model_validator(mode="after")
    def _at_most_one(self) -> "Transform":
        if len(self._chosen()) > 1:
            raise ValueError("give one function, not " + " and ".join(sorted(self.model_fields_set)))
        return self

    def _chosen(self) -> list[_Function]:
        kinds = (self.linear, self.clamp, self.target, self.sigmoid, self.threshold, self.decay, self.range)
        return [kind for kind in kinds if kind is not None]

    def __call__(self, x: FloatColumn) -> FloatColumn:
        """Apply to a column."""
        chosen = self._chosen()
        return chosen[0](x) if chosen else x
