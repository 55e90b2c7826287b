"""Deadlines, cancelled calls, and callers side by side."""

import threading
from typing import Any

import grpc

from xenolith.conformance.check import Collection, Failure, expect
from xenolith.conformance.comparison import differences
from xenolith.conformance.crystals import strained
from xenolith.conformance.lab import Lab
from xenolith.crystal import Crystal
from xenolith.errors import XenolithError

__all__ = ["CHECKS"]

CHECKS = Collection("calls")


def _work(lab: Lab) -> list[Crystal]:
    """Crystals that nobody has scored before; few if evaluations are to be few."""
    if lab.quick:
        return [lab.good]
    count = min(lab.description.max_batch, 48)
    return [strained(lab.crystals[i % len(lab.crystals)], 1.01 + 0.0007 * i) for i in range(count)]


@CHECKS.check("deadline", "A call whose deadline passes ends, and leaves the service free for the next one.")
def _deadline(lab: Lab) -> None:
    request = lab.request(_work(lab), lab.components, use_cache=False)
    for timeout in (0.001, 0.02, 0.05, 0.1):
        try:
            lab.try_call(lab.stub.Score, request, timeout)
        except XenolithError as error:
            allowed = {grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED}
            expect(
                error.code in allowed,
                f"a call with a deadline of {timeout:g} s ended as {error.code.name}: {error}",
            )
    lab.alive()


@CHECKS.check("cancelled", "Cancelled calls leave the service free for the next one.")
def _cancelled(lab: Lab) -> None:
    request = lab.request(_work(lab), lab.components, use_cache=False)
    for _ in range(2 if lab.quick else 8):
        lab.stub.Score.future(request, timeout=lab.timeout_s, metadata=lab.metadata()).cancel()
    lab.alive()


@CHECKS.check("side-by-side", "Callers at the same time each get the scores of their own crystals.")
def _side_by_side(lab: Lab) -> None:
    before = lab.baseline.scores
    problems: list[str] = []

    def call(index: int) -> None:
        try:
            for _ in range(1 if lab.quick else 3):
                after = lab.score([lab.crystals[index]], lab.components).scores[0]
                tolerance = lab.settings.energy_tolerance
                problems.extend(differences(before[index], after, energy_tolerance=tolerance))
        except (Failure, XenolithError) as error:
            problems.append(str(error))

    threads: list[Any] = [
        threading.Thread(target=call, args=(index % len(lab.crystals),)) for index in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expect(not problems, f"alone and beside seven other callers: {'; '.join(problems[:5])}")
