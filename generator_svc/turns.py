"""Long computations that pause now and then, so that those of several calls can take turns in one thread."""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar

__all__ = ["Turns", "finished"]

T = TypeVar("T")
Turns = Generator[None, None, T]
"""A computation: it yields where others may have their turn, and returns its result."""


def finished(computation: Turns[T]) -> T:
    """Return the result of a computation that nobody interrupts."""
    while True:
        try:
            next(computation)
        except StopIteration as end:
            result: T = end.value
            return result
