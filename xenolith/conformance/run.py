"""Running checks one after the other, and what came of each."""

import fnmatch
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from xenolith.conformance.check import Check, Failure, Skipped
from xenolith.conformance.lab import Lab
from xenolith.errors import InvalidArgumentError, XenolithError

__all__ = ["Report", "Result", "run_checks", "select"]

Outcome = Literal["passed", "failed", "skipped"]


@dataclass(frozen=True, kw_only=True)
class Result:
    """Result of one check."""

    check: Check
    """The check."""
    outcome: Outcome
    """Whether the rule is kept."""
    reason: str = ""
    """Why it is broken, or why the check does not apply."""
    request: str = ""
    """The last request sent, if the check failed."""
    seconds: float
    """How long it took."""

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "name": self.check.name,
            "rule": self.check.rule,
            "outcome": self.outcome,
            "reason": self.reason,
            "request": self.request,
            "seconds": round(self.seconds, 3),
        }


@dataclass(frozen=True, kw_only=True)
class Report:
    """Results of all checks."""

    target: str
    """Address of the oracle."""
    results: tuple[Result, ...]
    """One for each check that was run."""

    def count(self, outcome: Outcome) -> int:
        """Return how many checks ended so."""
        return sum(result.outcome == outcome for result in self.results)

    @property
    def conforms(self) -> bool:
        """Whether no rule is broken, and some rule was tried."""
        return self.count("failed") == 0 and self.count("passed") > 0

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        counts = {outcome: self.count(outcome) for outcome in ("passed", "failed", "skipped")}
        return {
            "target": self.target,
            "conforms": self.conforms,
            **counts,
            "results": [result.to_dict() for result in self.results],
        }


def select(checks: Sequence[Check], patterns: Sequence[str]) -> list[Check]:
    """Return the checks whose name is, begins with, or matches one of the patterns; all without patterns.

    Raises
    ------
    InvalidArgumentError
        A pattern matches no check.
    """
    if not patterns:
        return list(checks)
    for pattern in patterns:
        if not any(_matches(check, pattern) for check in checks):
            themes = ", ".join(sorted({check.name.partition(".")[0] for check in checks}))
            raise InvalidArgumentError(f"no check is called {pattern!r}; themes are {themes}")
    return [check for check in checks if any(_matches(check, pattern) for pattern in patterns)]


def run_checks(
    lab: Lab, checks: Sequence[Check], *, on_result: Callable[[Result], None] = lambda _result: None
) -> Report:
    """Run checks on the lab's oracle, and stop where it no longer answers at all.

    Parameters
    ----------
    on_result
        Called after each check.

    Raises
    ------
    XenolithError
        Nobody answers at the address.
    """
    lab.try_call(lab.stub.Describe, _nothing(), min(30.0, lab.settings.timeout_s or 30.0))
    results: list[Result] = []
    gone = ""
    for check in checks:
        result = (
            Result(check=check, outcome="failed", reason=gone, seconds=0.0) if gone else _run_one(lab, check)
        )
        if result.outcome == "failed" and not gone and not _answers(lab):
            gone = f"not tried: the service stopped answering during {check.name}"
        results.append(result)
        on_result(result)
    return Report(target=lab.settings.target, results=tuple(results))


def _run_one(lab: Lab, check: Check) -> Result:
    begin = time.monotonic()

    def ended(outcome: Outcome, reason: str = "", request: str = "") -> Result:
        return Result(
            check=check, outcome=outcome, reason=reason, request=request, seconds=time.monotonic() - begin
        )

    try:
        check.run(lab)
    except Skipped as reason:
        return ended("skipped", str(reason))
    except Failure as reason:
        return ended("failed", str(reason), lab.last_request)
    except XenolithError as error:
        return ended("failed", f"the call ended as {error.code.name}: {error}", lab.last_request)
    return ended("passed")


def _answers(lab: Lab) -> bool:
    try:
        lab.try_call(lab.stub.Describe, _nothing(), 15.0)
    except XenolithError:
        return False
    return True


def _nothing() -> Any:
    from xenolith.v1 import oracle_pb2

    return oracle_pb2.OracleServiceDescribeRequest()


def _matches(check: Check, pattern: str) -> bool:
    return (
        check.name == pattern
        or check.name.startswith(f"{pattern}.")
        or fnmatch.fnmatchcase(check.name, pattern)
    )
