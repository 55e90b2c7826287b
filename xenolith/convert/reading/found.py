"""Findings of a reader in a file: a crystal with notes, or the reason why there is none."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from xenolith.crystal import Crystal
from xenolith.errors import CrystalError, ReadError

__all__ = ["Found"]


@dataclass(frozen=True, kw_only=True)
class Found:
    """One structure of a file, readable or not."""

    crystal: Crystal | None = None
    """The crystal, unless there is a problem."""
    problem: ReadError | CrystalError | None = None
    """Why it is refused; does not name the file."""
    notes: tuple[str, ...] = ()
    """What was assumed, merged, corrected or ignored, in plain words."""
    name: str = ""
    """What the file calls it: a data block, an id; empty if nothing."""
    labels: Mapping[str, Any] = field(default_factory=dict)
    """Numbers and texts beside it."""
