"""How a check says that a rule is broken, or does not apply."""

from typing import NoReturn

__all__ = ["Failure", "Skipped", "expect", "fail", "skip"]


class Failure(AssertionError):  # noqa: N818  # a verdict, not a fault
    """The rule is broken; the message says how."""


class Skipped(Exception):  # noqa: N818  # likewise
    """The rule does not apply to this oracle; the message says why."""


def expect(condition: object, reason: str) -> None:
    """Fail with `reason` unless `condition` holds."""
    if not condition:
        raise Failure(reason)


def fail(reason: str) -> NoReturn:
    """Fail with `reason`."""
    raise Failure(reason)


def skip(reason: str) -> NoReturn:
    """Say that the rule does not apply, because of `reason`."""
    raise Skipped(reason)
