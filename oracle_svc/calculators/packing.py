"""Packing items into passes of a bounded size."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

__all__ = ["packed"]

T = TypeVar("T")


def packed(items: Iterable[T], size: Callable[[T], int], most: int) -> Iterator[list[T]]:
    """Group items, in order, up to `most` of their size together; one that is larger stands alone."""
    group: list[T] = []
    total = 0
    for item in items:
        own = size(item)
        if group and total + own > most:
            yield group
            group, total = [], 0
        group.append(item)
        total += own
    if group:
        yield group
