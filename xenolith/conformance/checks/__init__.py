"""The rules of the contract, one file per theme."""

from xenolith.conformance.check import Check
from xenolith.conformance.checks import (
    calls,
    describe,
    forces,
    limits,
    malformed,
    operations,
    provenance,
    repeatable,
    requests,
    sameness,
    scores,
    streams,
    wire,
)

__all__ = ["CHECKS"]

CHECKS: tuple[Check, ...] = tuple(
    check
    for theme in (
        describe,
        scores,
        malformed,
        requests,
        limits,
        wire,
        repeatable,
        sameness,
        provenance,
        streams,
        calls,
        forces,
        operations,
    )
    for check in theme.CHECKS.checks
)
"""All checks, cheapest first."""
