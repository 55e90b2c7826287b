"""One structure of the user's, readable or not."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from xenolith.crystal import Crystal
from xenolith.errors import CrystalError, ReadError
from xenolith.listing import first_of

__all__ = ["Item", "Items"]

_MOST_NAMED = 20


@dataclass(frozen=True, kw_only=True)
class Item:
    """One structure of the user's, or the reason why it is none; may be given wherever structures are."""

    source: str
    """Where it came from: a path, with ``#index`` in files of several; else its index."""
    crystal: Crystal | None = None
    """The crystal, unless there is a problem."""
    problem: ReadError | CrystalError | None = None
    """Why it cannot be read as an ordered crystal."""
    notes: tuple[str, ...] = ()
    """What was assumed, merged, corrected or ignored in reading it, in plain words."""
    name: str = ""
    """What its file calls it, such as a data block or an id; empty if nothing."""
    labels: dict[str, Any] = field(default_factory=dict)
    """Numbers and texts beside it in its file."""


class Items(list[Item]):
    """Structures, and the files among them that hold none."""

    def __init__(self, items: Iterable[Item] = (), ignored: Iterable[str] = ()) -> None:
        super().__init__(items)
        self.ignored: tuple[str, ...] = tuple(ignored)
        """Files in folders that are of no known kind."""

    @property
    def warning(self) -> str:
        """Tells of the ignored files; empty if there are none."""
        if not self.ignored:
            return ""
        names = first_of(self.ignored, _MOST_NAMED)
        return f"{len(self.ignored)} files are of no known kind and were not read: {names}"
