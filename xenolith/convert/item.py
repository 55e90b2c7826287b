"""One structure of the user's, readable or not."""

from dataclasses import dataclass

from xenolith.crystal import Crystal
from xenolith.errors import CrystalError, ReadError

__all__ = ["Item"]


@dataclass(frozen=True, kw_only=True)
class Item:
    """One structure of the user's, or the reason why it is none; may be given wherever structures are."""

    source: str
    """Where it came from: a path, with ``#index`` in files of several; else its index."""
    crystal: Crystal | None = None
    """The crystal, unless there is a problem."""
    problem: ReadError | CrystalError | None = None
    """Why it cannot be read as an ordered crystal."""
