"""Calls as data: what to send and what to make of the answer. Every client sends the same ones."""

import functools
import inspect
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, ParamSpec, Protocol, TypeAlias, TypeVar

__all__ = [
    "Answered",
    "Collect",
    "Collector",
    "Exchange",
    "Iterate",
    "Unary",
    "Upload",
    "deadline",
    "message_call",
    "takes",
]

C = TypeVar("C")
O = TypeVar("O")  # noqa: E741  # the options
P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class Collector(Protocol[R_co]):
    """Takes the messages of a stream and makes one result of them."""

    def add(self, message: Any) -> None:
        """Take the next message."""

    def finish(self) -> R_co:
        """Return the result, once the stream has ended."""


@dataclass(frozen=True, kw_only=True)
class _Call:
    """Arguments common to all calls."""

    method: str
    """Name of the method in its service."""
    timeout_s: float | None = None
    """Seconds until it fails, as its caller wants it, infinity for never; None: `default_s`."""
    default_s: float | None
    """Seconds that suit this call; None for never."""


@dataclass(frozen=True, kw_only=True)
class Unary(_Call, Generic[R]):
    """One request, one answer."""

    request: Any
    """Its message."""
    parse: Callable[[Any], R]
    """From the answer's message to the result."""

    def sent(self) -> Any:
        """Return what the stub's method takes."""
        return self.request


@dataclass(frozen=True, kw_only=True)
class Upload(_Call, Generic[R]):
    """A stream of requests, one answer."""

    requests: Callable[[], Iterable[Any]]
    """Makes the messages, anew for each attempt."""
    parse: Callable[[Any], R]
    """From the answer's message to the result."""

    def sent(self) -> Iterator[Any]:
        """Return what the stub's method takes."""
        return iter(self.requests())


@dataclass(frozen=True, kw_only=True)
class Collect(_Call, Generic[R]):
    """One request, a stream of answers, of which one result is made."""

    request: Any
    """Its message."""
    collector: Callable[[], Collector[R]]
    """Makes what takes the answers, anew for each attempt."""

    def sent(self) -> Any:
        """Return what the stub's method takes."""
        return self.request


Answered: TypeAlias = Unary[R] | Upload[R] | Collect[R]
"""A call that ends in one result, so that it can be made again as a whole."""


@dataclass(frozen=True, kw_only=True)
class Iterate(_Call, Generic[R]):
    """One request, a stream of answers, handed on one by one."""

    request: Any
    """Its message."""
    parse: Callable[[Any], R]
    """From an answer's message to what is handed on."""
    resume: Callable[[Any, Any], None] | None = None
    """Given the request and the last message, makes the request ask for what follows; None if a stream that
    broke cannot be taken up again."""


@dataclass(frozen=True, kw_only=True)
class Exchange(_Call, Generic[R]):
    """A stream of requests, a stream of answers."""

    items: Any
    """What the requests are made of: an iterable, for the async client an async one."""
    encode: Callable[[Any], Any]
    """From an item to its message."""
    parse: Callable[[Any], R]
    """From an answer's message to what is handed on."""


def deadline(call: _Call, of_all: float | None) -> float | None:
    """Return the seconds after which a call fails, None for never.

    Parameters
    ----------
    call
        What its caller wants goes first, what suits it comes last.
    of_all
        What the client's options say for calls that would end anyhow; None if nothing.
    """
    usual = call.default_s if of_all is None or call.default_s is None else of_all
    chosen = usual if call.timeout_s is None else call.timeout_s
    return None if chosen is None or math.isinf(chosen) else chosen


def message_call(method: str, request: Any, default_s: float | None) -> Unary[Any]:
    """Return the call whose answer is wanted as it comes."""
    return Unary(method=method, request=request, parse=lambda answer: answer, default_s=default_s)


def takes(options: Callable[P, O]) -> Callable[[Callable[[O], C]], Callable[P, C]]:
    """Let a function of options be called with their fields instead.

    Parameters
    ----------
    options
        Dataclass whose fields are the arguments.
    """

    def decorate(build: Callable[[O], C]) -> Callable[P, C]:
        @functools.wraps(build)
        def call(*args: P.args, **kwargs: P.kwargs) -> C:
            return build(options(*args, **kwargs))

        del call.__wrapped__  # help() is to show the fields
        signature = inspect.signature(options).replace(return_annotation=inspect.Signature.empty)
        call.__signature__ = signature  # type: ignore[attr-defined]
        return call

    return decorate
