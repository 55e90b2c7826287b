"""Transforms: how a measured quantity becomes a value, as declared in a reward spec."""

from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from trainer_svc.measurements import FloatColumn

__all__ = ["Clamp", "Identity", "NegativeClamp", "Sigmoid", "Target", "Threshold", "Transform"]


class _Transform(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Identity(_Transform):
    """``y = x``."""

    kind: Literal["identity"] = "identity"

    def __call__(self, x: FloatColumn) -> FloatColumn:
        """Apply to a column; NaN stays NaN (true of every transform)."""
        return x


class Clamp(_Transform):
    """``y = min(max(x, low), high)``."""

    kind: Literal["clamp"] = "clamp"
    low: float = 0.0
    high: float = 1.0

    @model_validator(mode="after")
    def _ordered(self) -> "Clamp":
        if not self.low < self.high:
            raise ValueError(f"low ({self.low}) must be below high ({self.high})")
        return self

    def __call__(self, x: FloatColumn) -> FloatColumn:
        """Apply to a column."""
        return np.clip(x, self.low, self.high)


class NegativeClamp(Clamp):
    """``y = -min(max(x, low), high)``: less is better."""

    kind: Literal["negative_clamp"] = "negative_clamp"  # type: ignore[assignment]

    def __call__(self, x: FloatColumn) -> FloatColumn:
        """Apply to a column."""
        return -np.clip(x, self.low, self.high)


class Sigmoid(_Transform):
    """``y = 1 / (1 + exp(-(x - centre) / width))``; a negative width makes less better."""

    kind: Literal["sigmoid"] = "sigmoid"
    centre: float
    width: float

    @model_validator(mode="after")
    def _has_width(self) -> "Sigmoid":
        if self.width == 0.0:
            raise ValueError("width must not be 0; use kind = 'threshold' for a step")
        return self

    def __call__(self, x: FloatColumn) -> FloatColumn:
        """Apply to a column."""
        # The clip only avoids overflow: beyond 60 widths the result is 0 or 1 in float64 anyway.
        return 1.0 / (1.0 + np.exp(-np.clip((x - self.centre) / self.width, -60.0, 60.0)))


class Target(_Transform):
    """``y = max(-|(x - value) / scale| ** power, -limit)``: best at a value, for example a band gap of 3 eV."""

    kind: Literal["target"] = "target"
    value: float
    scale: float = Field(default=1.0, gt=0.0)
    power: float = Field(default=2.0, gt=0.0)
    limit: float = Field(default=10.0, gt=0.0)

    def __call__(self, x: FloatColumn) -> FloatColumn:
        """Apply to a column."""
        return np.maximum(-(np.abs((x - self.value) / self.scale) ** self.power), -self.limit)


class Threshold(_Transform):
    """1 where the condition holds, else 0; give ``below``, ``above`` (both strict) or both."""

    kind: Literal["threshold"] = "threshold"
    below: float | None = None
    above: float | None = None

    @model_validator(mode="after")
    def _has_bound(self) -> "Threshold":
        if self.below is None and self.above is None:
            raise ValueError("give at least one of below and above")
        return self

    def __call__(self, x: FloatColumn) -> FloatColumn:
        """Apply to a column."""
        passed = np.ones_like(x)
        if self.below is not None:
            passed = passed * (x < self.below)
        if self.above is not None:
            passed = passed * (x > self.above)
        return np.where(np.isnan(x), np.nan, passed)


Transform = Annotated[
    Identity | Clamp | NegativeClamp | Sigmoid | Target | Threshold, Field(discriminator="kind")
]
