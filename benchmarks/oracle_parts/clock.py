"""Seconds on the wall, or of processor time: much the same on a core of one's own, robust otherwise."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path

__all__ = ["clock_of", "family"]

_TICK = os.sysconf("SC_CLK_TCK")


def clock_of(kind: str, pids: Callable[[], Iterable[int]] = tuple) -> Callable[[], float]:
    """Return a clock: `wall`, or `cpu` of this process and of those that `pids` names."""
    if kind == "wall":
        return time.perf_counter
    return lambda: time.process_time() + sum(map(_processor_s, pids()))


def family(pid: int) -> list[int]:
    """A process and all that it started."""
    found = [pid]
    for member in found:
        for task in Path(f"/proc/{member}/task").iterdir():
            found += map(int, (task / "children").read_text().split())
    return found


def _processor_s(pid: int) -> float:
    # The name of the program, in parentheses, may hold blanks.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK
