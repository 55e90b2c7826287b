"""Health of a service, asked again and again from a process of its own: `python -m ... HOST:PORT`.

Prints how long each answer took, seconds, as a JSON list, once its standard input ends.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from subprocess import PIPE, Popen
from typing import Any

import grpc
import numpy as np
from grpc_health.v1 import health_pb2, health_pb2_grpc

__all__ = ["figures", "watched"]

_PAUSE_S = 0.02
_LIMIT_S = 30.0


@contextmanager
def watched(address: str) -> Iterator[list[float]]:
    """Watch the health of a service; the list has all latencies, seconds, after the block."""
    latencies: list[float] = []
    watcher = Popen([sys.executable, "-m", __name__, address], stdin=PIPE, stdout=PIPE, text=True)
    try:
        if watcher.stdout is not None:
            watcher.stdout.readline()  # it has its first answer
        yield latencies
    finally:
        answer, _ = watcher.communicate("", timeout=60)
        latencies += json.loads(answer)


def figures(latencies: list[float]) -> dict[str, float]:
    """Milliseconds of the middle and of the slow answers."""
    p50, p99, slowest = np.percentile(latencies, (50, 99, 100))
    return {
        "health_p50_ms": 1e3 * float(p50),
        "health_p99_ms": 1e3 * float(p99),
        "health_max_ms": 1e3 * float(slowest),
    }


def _main(address: str) -> None:
    latencies = []
    over = threading.Event()

    def wait() -> None:
        sys.stdin.read()
        over.set()

    threading.Thread(target=wait, daemon=True).start()
    with grpc.insecure_channel(address) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        check = stub.Check
        check(health_pb2.HealthCheckRequest(), timeout=_LIMIT_S)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while not over.wait(_PAUSE_S):
            begin = time.perf_counter()
            check(health_pb2.HealthCheckRequest(), timeout=_LIMIT_S)
            latencies.append(time.perf_counter() - begin)
    sys.stdout.write(json.dumps(latencies))


if __name__ == "__main__":
    _main(sys.argv[1])
