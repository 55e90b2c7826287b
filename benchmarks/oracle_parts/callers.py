"""Many callers of single structures beside one caller of batches, against the same oracle process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import grpc
import grpc.aio
import numpy as np

from benchmarks.oracle_parts.inputs import perturbed
from benchmarks.oracle_parts.served import redis_server, replica_at, request_of
from oracle_svc.known.reference.structures import StructureTable
from xenolith.crystal import CrystalBatch
from xenolith.v1 import oracle_pb2_grpc

BATCH = 64


def callers(
    table: StructureTable, folder: Path, core: int | None, count: int, many: int, rounds: int
) -> dict[str, Any]:
    """Structures per second of both, and of singles that are not merged, as nobody, some or all are known.

    Parameters
    ----------
    count
        Structures of a round.
    many
        Callers of single structures at once.
    rounds
        Rounds of each, in turn; medians count.
    """
    found: dict[str, Any] = {"callers": many, "batch": BATCH, "structures": count}
    for name, options in (("merged", []), ("unmerged", ["--merge-most", "1"])):
        with (
            redis_server(folder) as cache,
            replica_at(folder, cache, core, "--max-in-flight", str(2 * many), *options) as (address, _),
        ):
            found[name] = _rates(address, table, count, many, rounds)
    return found


def _rates(address: str, table: StructureTable, count: int, many: int, rounds: int) -> dict[str, float]:
    rates: dict[str, list[float]] = {}
    waits: list[float] = []
    # None of them is broken: what costs nothing would flatter whom it comes to.
    fresh = (perturbed(table, count, seed, malformed=0.0) for seed in range(200, 10_000))
    libraries = next(fresh)  # they load on first use
    asyncio.run(_batches(address, libraries))
    asyncio.run(_singles(address, libraries, many))
    for _ in range(rounds):
        known = next(fresh)
        for kind, shares in (("cold", (0.0,)), ("mixed", (0.8,)), ("warm", (1.0,) * 3)):
            for share in shares:
                one, other = (_some_known(known, next(fresh), share) for _ in range(2))
                by_batches = asyncio.run(_batches(address, one))
                by_singles, latencies = asyncio.run(_singles(address, other, many))
                rates.setdefault(f"{kind}_batches_per_s", []).append(by_batches)
                rates.setdefault(f"{kind}_singles_per_s", []).append(by_singles)
                rates.setdefault(f"{kind}_ratio", []).append(by_singles / by_batches)
                waits += latencies if kind == "warm" else []
            if kind == "cold":
                known = other
    waits.sort()
    return {name: median(values) for name, values in rates.items()} | {
        "warm_single_p50_ms": 1e3 * waits[len(waits) // 2],
        "warm_single_p99_ms": 1e3 * waits[int(0.99 * len(waits))],
    }


def _some_known(known: CrystalBatch, fresh: CrystalBatch, share: float) -> CrystalBatch:
    """Structures of which a share is known, spread evenly."""
    count = round(share * len(fresh))
    rows = np.linspace(0, len(fresh) - 1, count).round().astype(int) if count else np.zeros(0, dtype=int)
    chosen = set(rows.tolist())
    return CrystalBatch.from_crystals(
        known[row] if row in chosen else fresh[row] for row in range(len(fresh))
    )


async def _batches(address: str, crystals: CrystalBatch) -> float:
    """Structures per second of one caller, whose batches follow each other."""
    requests = [request_of(crystals[start : start + BATCH]) for start in range(0, len(crystals), BATCH)]
    rate, _ = await _send(address, requests, 1)
    return rate * len(crystals) / len(requests)


async def _singles(address: str, crystals: CrystalBatch, many: int) -> tuple[float, list[float]]:
    """Structures per second of many callers, each of whom sends one at a time, and their waits in seconds."""
    return await _send(
        address, [request_of(CrystalBatch.from_crystals([crystal])) for crystal in crystals], many
    )


async def _send(address: str, requests: Sequence[Any], many: int) -> tuple[float, list[float]]:
    """Requests per second of `many` callers who share them out, and how long each took, in seconds."""
    waits = []
    async with grpc.aio.insecure_channel(address) as channel:
        score = oracle_pb2_grpc.OracleServiceStub(channel).Score
        left = iter(requests)

        async def caller() -> None:
            for request in left:
                begin = time.perf_counter()
                await score(request, timeout=600)
                waits.append(time.perf_counter() - begin)

        await channel.channel_ready()
        begin = time.perf_counter()
        await asyncio.gather(*(caller() for _ in range(many)))
        return len(requests) / (time.perf_counter() - begin), waits
