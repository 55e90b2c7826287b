"""A check: a name, a rule of the contract in one sentence, and a function that tries it."""

from collections.abc import Callable
from dataclasses import dataclass

from xenolith.conformance.lab import Lab
from xenolith.conformance.verdict import Failure, Skipped, expect, fail, skip

__all__ = ["Check", "Collection", "Failure", "Skipped", "expect", "fail", "skip"]


@dataclass(frozen=True, kw_only=True)
class Check:
    """One rule of the contract."""

    name: str
    """Dotted, the first part its theme: ``stream.every-batch-once``."""
    rule: str
    """The rule, in one sentence."""
    body: Callable[[Lab], None]
    """Tries it."""

    def run(self, lab: Lab) -> None:
        """Try the rule on the lab's oracle.

        Raises
        ------
        Failure
            It is broken.
        Skipped
            It does not apply.
        """
        lab.forget()
        self.body(lab)

    def __str__(self) -> str:
        return self.name


class Collection:
    """Checks of one theme, in the order in which they are written."""

    def __init__(self, theme: str) -> None:
        self.theme = theme
        self.checks: list[Check] = []

    def check(self, name: str, rule: str) -> Callable[[Callable[[Lab], None]], Callable[[Lab], None]]:
        """Add the decorated function as a check."""

        def add(body: Callable[[Lab], None]) -> Callable[[Lab], None]:
            self.checks.append(Check(name=f"{self.theme}.{name}", rule=rule, body=body))
            return body

        return add
