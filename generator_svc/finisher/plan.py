"""How a request wants decoded crystals finished."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from generator_svc.finisher.finish import noise_levels
from generator_svc.finisher.noise import LARGEST_NOISE, SMALLEST_NOISE
from xenolith.errors import FailedPreconditionError, invalid_field
from xenolith.v1 import generator_pb2

__all__ = ["MAX_FINISH_STEPS", "FinishPlan", "check_finishing", "default_plan", "finish_plan"]

MAX_FINISH_STEPS = 200
"""Most evaluations of the finisher for a crystal."""


@dataclass(frozen=True, kw_only=True)
class FinishPlan:
    """Checked settings of finishing."""

    steps: int
    """Evaluations of the network, at least 1."""
    noise: float
    """Angstrom that decoded crystals are taken to have."""

    @property
    def levels(self) -> list[float]:
        """Noise levels to go along, Angstrom."""
        return noise_levels(self.noise, self.steps)


def default_plan(manifest: Mapping[str, Any]) -> FinishPlan | None:
    """Return the plan of a bundle's manifest; None where it has no finisher."""
    return FinishPlan(**manifest["finishing"]) if "finishing" in manifest else None


def finish_plan(message: generator_pb2.Finishing, default: FinishPlan | None) -> FinishPlan | None:
    """Check a Finishing message; None: crystals stay as they are decoded.

    Raises
    ------
    InvalidArgumentError
        A setting is out of range.
    FailedPreconditionError
        Finishing is wanted and the bundle has no finisher.
    """
    steps = message.steps if message.HasField("steps") else None
    noise = message.noise if message.HasField("noise") else None
    check_finishing(steps, noise)
    if default is None:
        if steps or noise is not None:
            raise FailedPreconditionError(
                "finishing needs a bundle with a finisher; this one has none: add one with `xenolith bundle "
                "add-finisher`, or leave finishing out"
            )
        return None
    plan = FinishPlan(
        steps=default.steps if steps is None else steps, noise=default.noise if noise is None else noise
    )
    return plan if plan.steps else None


def check_finishing(steps: int | None, noise: float | None) -> None:
    """Check what is given.

    Raises
    ------
    InvalidArgumentError
        A setting is out of range.
    """
    if steps is not None and not 0 <= steps <= MAX_FINISH_STEPS:
        raise invalid_field("finishing.steps", f"is {steps}, must be 0 to {MAX_FINISH_STEPS}")
    if noise is not None and not SMALLEST_NOISE < noise <= LARGEST_NOISE:
        raise invalid_field(
            "finishing.noise",
            f"is {noise:g}, must be above {SMALLEST_NOISE:g} and at most {LARGEST_NOISE:g} A",
        )
