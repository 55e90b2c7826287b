"""Long lists in short sentences."""

from collections.abc import Sequence

__all__ = ["first_of"]


def first_of(names: Sequence[object], most: int) -> str:
    """Name the first `most`, separated by commas; dots say that there are more."""
    return ", ".join(map(str, names[:most])) + (", ..." if len(names) > most else "")
