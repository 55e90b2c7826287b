"""Status and outcome of one structure. Names and numbers are those of the contract's `StructureStatus`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

__all__ = ["Outcome", "Status"]


class Status(IntEnum):
    """Outcome for one structure; anything but `OK` comes with a message for the user."""

    OK = 1
    MALFORMED = 2
    """No atoms, or arrays that do not fit together."""
    NONFINITE = 3
    """NaN or infinity in the cell or the coordinates."""
    BAD_CELL = 4
    """Singular, flat or far too small or large a cell."""
    TOO_CLOSE = 5
    """Two atoms (or an atom and its own image) nearer than the limit."""
    BAD_DENSITY = 6
    UNSUPPORTED_ELEMENT = 7
    TOO_LARGE = 8
    """More atoms than the oracle accepts."""
    NO_REFERENCE = 9
    """An element has no end member on the hull."""
    CALCULATOR_FAILED = 10
    TIMEOUT = 11
    DISORDERED = 12
    RELAXATION_FAILED = 13
    SKIPPED = 14
    """Not evaluated because an earlier stage failed."""
    CANCELLED = 15


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How one component fared for one structure."""

    status: Status
    message: str = ""
    """What is wrong with the structure; a `StructureMessage` where it names other structures of the batch."""
    cached: bool = False
    """Whether its measurement was made by an earlier call, or by another one at the same time."""
