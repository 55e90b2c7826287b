"""Scores per second against replicas of the oracle, and what each costs in processor time.

    python -m benchmarks.replicas --replicas 1 2 --json replicas.json

Starts that many oracles of one worker each, without a cache, and sends them disturbed crystals of
`examples/crystals` from several callers at once, all through one address of several, as the
replicas of compose and Kubernetes are. `cpu_ms` is what a score costs the oracles, `client_cpu_ms`
what it costs the caller, both in processor time, which other work on the machine changes little.
`idle` is the share of the processors that nobody used, `others` what other programs took: scores
per second mean something where `others` is small.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.command_line import benchmark_parser, parse, publish
from xenolith.client import Client
from xenolith.convert import read_paths
from xenolith.crystal import Crystal
from xenolith.stack import ServiceProcess
from xenolith.stack.ports import choose_ports

_CRYSTALS = Path(__file__).resolve().parents[1] / "examples" / "crystals"
_NOISE = 0.05  # Angstrom


def disturbed(count: int, seed: int) -> list[Crystal]:
    """Crystals of the examples with atoms moved, no two alike."""
    rng = np.random.default_rng(seed)
    known = [item.crystal for item in read_paths([_CRYSTALS]) if item.crystal is not None]
    made = []
    for number in range(count):
        crystal = known[number % len(known)]
        moved = rng.normal(0.0, _NOISE, crystal.frac_coords.shape) @ np.linalg.inv(crystal.lattice)
        made.append(replace(crystal, frac_coords=crystal.frac_coords + moved))
    return made


def cpu_s(pids: Sequence[int]) -> float:
    """Processor time of processes and their children, seconds."""
    found = [psutil.Process(pid) for pid in pids]
    every = [*found, *(child for process in found for child in process.children(recursive=True))]
    return float(sum(sum(process.cpu_times()[:2]) for process in every))


def _end(oracle: ServiceProcess) -> None:
    oracle.terminate()
    oracle.join(10.0)


def measure(replicas: int, structures: int, batch: int, callers: int, seed: int) -> dict[str, Any]:
    """Figures of so many replicas."""
    names = tuple(f"oracle-{number}" for number in range(replicas))
    ports = choose_ports(None, names)
    environment = {
        **os.environ,
        "XENOLITH_CACHE": "none",
        "XENOLITH_ORACLE_STATE": "none",
        "XENOLITH_ORACLE_WORKERS": "1",
        "XENOLITH_ORACLE_AUDIT": "none",
        "OMP_NUM_THREADS": "1",
    }
    with ExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory()))
        oracles = [
            ServiceProcess(
                name=name,
                port=ports[name],
                log=folder / f"{name}.log",
                environment=environment,
                module="oracle_svc",
            )
            for name in names
        ]
        for oracle in oracles:
            oracle.start()
            running.callback(_end, oracle)
        for oracle in oracles:
            oracle.wait_serving(300)
            with Client.connect(oracle=oracle.address) as client:
                client.oracle.score(disturbed(2 * batch, seed + 1))  # whatever is loaded at first
        pids = [oracle.pid for oracle in oracles if oracle.pid is not None]
        address = "ipv4:" + ",".join(oracle.address for oracle in oracles)
        client = running.enter_context(Client.connect(oracle=address))
        crystals = disturbed(structures, seed)
        parts = [crystals[start : start + batch] for start in range(0, structures, batch)]
        before = cpu_s(pids), cpu_s([os.getpid()]) - cpu_s(pids), psutil.cpu_times(), time.monotonic()
        with ThreadPoolExecutor(callers) as pool:
            scored = sum(len(scores) for scores in pool.map(client.oracle.score, parts))
        wall = time.monotonic() - before[3]
        oracle_s = cpu_s(pids) - before[0]
        client_s = cpu_s([os.getpid()]) - cpu_s(pids) - before[1]
        now = psutil.cpu_times()
    idle = now.idle + now.iowait - before[2].idle - before[2].iowait
    total = wall * (psutil.cpu_count() or 1)
    return {
        "replicas": replicas,
        "structures": scored,
        "per_second": scored / wall,
        "cpu_ms": 1000 * oracle_s / scored,
        "client_cpu_ms": 1000 * client_s / scored,
        "idle": idle / total,
        "others": max(0.0, 1.0 - (idle + oracle_s + client_s) / total),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = benchmark_parser("replicas", __doc__)
    parser.add_argument("--replicas", type=int, nargs="+", default=[1, 2], help="numbers of oracles")
    parser.add_argument("-n", "--structures", type=int, default=768, help="structures for each number")
    parser.add_argument("--batch", type=int, default=32, help="structures of a call")
    parser.add_argument("--callers", type=int, default=4, help="calls at once")
    parser.add_argument("--seed", type=int, default=0)
    given = parse(parser, arguments, quick={"structures": 64, "batch": 16})
    rows = [
        measure(replicas, given.structures, given.batch, given.callers, given.seed)
        for replicas in given.replicas
    ]
    publish({"replicas": rows}, given.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
