"""Calls as data: what to send and what to make of the answer. Both clients send the same ones."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

__all__ = ["Collect", "Collector", "Exchange", "Iterate", "Unary", "Upload", "deadline"]

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class Collector(Protocol[R_co]):
    """Takes the messages of a stream and makes one result of them."""

    def add(self, message: Any) -> None:
        """Take the next message."""

    def finish(self) -> R_co:
        """Return the result, once the stream has ended."""


@dataclass(frozen=True, kw_only=True)
class Unary(Generic[R]):
    """One request, one answer."""

    method: str
    """Name of the method in its service."""
    request: Any
    """Its message."""
    parse: Callable[[Any], R]
    """From the answer's message to the result."""
    timeout_s: float | None
    """Seconds until it fails; None for never."""


@dataclass(frozen=True, kw_only=True)
class Upload(Generic[R]):
    """A stream of requests, one answer."""

    method: str
    requests: Callable[[], Iterable[Any]]
    """Makes the messages, anew for each attempt."""
    parse: Callable[[Any], R]
    timeout_s: float | None


@dataclass(frozen=True, kw_only=True)
class Collect(Generic[R]):
    """One request, a stream of answers, of which one result is made."""

    method: str
    request: Any
    collector: Callable[[], Collector[R]]
    timeout_s: float | None


@dataclass(frozen=True, kw_only=True)
class Iterate(Generic[R]):
    """One request, a stream of answers, handed on one by one."""

    method: str
    request: Any
    parse: Callable[[Any], R]
    timeout_s: float | None
    resume: Callable[[Any, Any], None] | None = field(default=None)
    """Given the request and the last message, makes the request ask for what follows; None if a stream that
    broke cannot be taken up again."""


@dataclass(frozen=True, kw_only=True)
class Exchange(Generic[R]):
    """A stream of requests, a stream of answers."""

    method: str
    items: Any
    """What the requests are made of: an iterable, for the async client an async one."""
    encode: Callable[[Any], Any]
    """From an item to its message."""
    parse: Callable[[Any], R]
    timeout_s: float | None


def deadline(timeout_s: float | None, default: float | None) -> float | None:
    """Return the timeout to use: `default` where none was given, none where infinity was."""
    chosen = default if timeout_s is None else timeout_s
    return None if chosen is None or math.isinf(chosen) else chosen
