"""Hundreds of callers of single structures for minutes: what they get, how long they wait, what memory does.

An oracle process with its calculator's workers and a Redis server; each caller sends one structure after the
other, four in five of which are known. A caller who is refused comes again when the refusal says so. Nothing
but that refusal (RESOURCE_EXHAUSTED with RetryInfo) may be an error, and memory is to stay where it is after
the first minute. Another process asks for the service's health fifty times a second.

    python -m benchmarks.load --json load.json            # 200 callers, five minutes
    python -m benchmarks.load --quick                     # a check that it runs

Times depend on the machine and its load. Linux only: memory is read from /proc.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import grpc
import grpc.aio
import numpy as np

from benchmarks.attack_parts.health import figures, watched
from benchmarks.attack_parts.services import Service, serving
from benchmarks.command_line import benchmark_parser, parse, publish
from benchmarks.oracle_parts.served import redis_server
from xenolith.contract.errors import error_from_call
from xenolith.contract.wire import batch_to_proto
from xenolith.crystal import Crystal, CrystalBatch
from xenolith.errors import OverloadedError
from xenolith.v1 import oracle_pb2, oracle_pb2_grpc

_KNOWN, _KNOWN_SHARE = 500, 0.8
_WATCH_S = 5.0
_METALS = (3, 11, 12, 13, 19, 20, 22, 26, 28, 29, 30, 47)
_OTHERS = (7, 8, 9, 16, 17, 34, 35)


@dataclass(kw_only=True)
class Account:
    """Answers that callers got, and how long they waited."""

    seconds: list[float] = field(default_factory=list)
    """Of each answer, its refusals and pauses left out."""
    errors: Counter[str] = field(default_factory=Counter)
    refused: int = 0
    """Refusals that said when to come again."""


def main(argv: Sequence[str] | None = None) -> int:
    parser = benchmark_parser("load", __doc__)
    parser.add_argument("--callers", type=int, default=200, help="callers at once")
    parser.add_argument("--minutes", type=float, default=5.0, help="how long they call")
    parser.add_argument("--workers", type=int, default=2, help="calculator processes of the oracle")
    parser.add_argument("--option", nargs="*", default=[], help="more options of the oracle, as NAME=VALUE")
    arguments = parse(parser, argv, quick={"minutes": 0.2, "callers": 20})
    options = [f"--{option}" for option in arguments.option]
    with tempfile.TemporaryDirectory() as name, redis_server(Path(name)) as cache:
        folder = Path(name)
        started = ("--cache", cache, "--workers", str(arguments.workers), "--log-level", "warning")
        with serving("oracle_svc", folder, *started, "--state", str(folder / "state"), *options) as service:
            report = asyncio.run(_load(service, arguments.callers, 60.0 * arguments.minutes))
    publish({"callers": arguments.callers, "minutes": arguments.minutes, **report}, arguments.json)
    return 1 if report["errors"] else 0


async def _load(service: Service, callers: int, seconds: float) -> dict[str, Any]:
    account, memory = Account(), list[float]()
    rng = np.random.default_rng(0)
    known = [_salt(rng) for _ in range(_KNOWN)]
    async with grpc.aio.insecure_channel(service.address) as channel:
        score: Any = oracle_pb2_grpc.OracleServiceStub(channel).Score
        await score(_request(known), timeout=600)
        await score(_request([_salt(rng)]), timeout=600)
        begin = time.monotonic()
        until = begin + seconds
        with watched(service.address) as latencies:
            watcher = asyncio.create_task(_watch(service, memory))
            await asyncio.gather(
                *(_call(score, known, np.random.default_rng([1, n]), until, account) for n in range(callers))
            )
            watcher.cancel()
        lasted = time.monotonic() - begin
    # What is there after the first fifth is warm; the rest is to stay there.
    rest = memory[len(memory) // 5 :] or memory
    half = max(1, len(rest) // 2)
    p50, p99 = np.percentile(account.seconds, (50, 99))
    return {
        "scores": len(account.seconds),
        "scores_per_s": len(account.seconds) / lasted,
        "refused": account.refused,
        "errors": dict(account.errors),
        "p50_ms": 1e3 * float(p50),
        "p99_ms": 1e3 * float(p99),
        **figures(latencies),
        "memory_mb": {
            "begin": memory[0],
            "first_half": median(rest[:half]),
            "second_half": median(rest[half:] or rest),
            "most": max(memory),
        },
    }


async def _call(
    score: Any, known: Sequence[Crystal], rng: np.random.Generator, until: float, account: Account
) -> None:
    """Send one structure after the other until the time is up."""
    while time.monotonic() < until:
        warm = rng.random() < _KNOWN_SHARE
        request = _request([known[int(rng.integers(len(known)))] if warm else _salt(rng)])
        while time.monotonic() < until:
            begin = time.monotonic()
            try:
                await score(request, timeout=120)
            except grpc.aio.AioRpcError as failure:
                error = error_from_call(failure)
                if isinstance(error, OverloadedError) and error.retry_after_s:
                    account.refused += 1
                    await asyncio.sleep(error.retry_after_s * float(rng.uniform(1.0, 1.5)))
                    continue
                account.errors[f"{failure.code().name}: {failure.details()}"[:200]] += 1
            else:
                account.seconds.append(time.monotonic() - begin)
            break


async def _watch(service: Service, memory: list[float]) -> None:
    while True:
        memory.append(service.memory_mb())
        await asyncio.sleep(_WATCH_S)


def _request(crystals: Sequence[Crystal]) -> oracle_pb2.ScoreRequest:
    return oracle_pb2.ScoreRequest(crystals=batch_to_proto(CrystalBatch.from_crystals(crystals)))


def _salt(rng: np.random.Generator) -> Crystal:
    """Two atoms as in rock salt, of a size that nobody had before."""
    size = rng.uniform(4.0, 6.5)
    return Crystal(
        lattice=np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]]) * size / 2,
        numbers=np.array([rng.choice(_METALS), rng.choice(_OTHERS)], dtype=np.int32),
        frac_coords=np.array([[0.0, 0.0, 0.0], [0.5, 0.5, 0.5]]),
    )


if __name__ == "__main__":
    sys.exit(main())
