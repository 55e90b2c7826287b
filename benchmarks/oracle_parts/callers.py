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

from benchmarks.oracle_parts.inputs import perturbed
from benchmarks.oracle_parts.served import redis_server, replica_at, request_of
from oracle_svc.known.reference.structures import StructureTable
from xenolith.crystal import CrystalBatch
from xenolith.v1 import oracle_pb2_grpc

BATCH = 64


def callers(
    table: StructureTable, folder: Path, core: int | None, count: int, many: int, rounds: int
) -> dict[str, Any]:
    """Structures per second of both, cold (nobody knows them) and warm, and of singles that are not merged.

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
    # None of them is broken: what costs nothing would flatter whom it comes to.
    fresh = [perturbed(table, count, 200 + number, malformed=0.0) for number in range(2 * rounds + 2)]
    for name, options in (("merged", []), ("unmerged", ["--merge-most", "1"])):
        with (
            redis_server(folder) as cache,
            replica_at(folder, cache, core, "--max-in-flight", str(2 * many), *options) as (address, _),
        ):
            asyncio.run(_batches(address, fresh[-1]))  # libraries load on first use
            asyncio.run(_singles(address, fresh[-2], many))
            cold_batches, cold_singles, warm_batches, warm_singles, waits = [], [], [], [], []
            for number in range(rounds):
                one, other = fresh[2 * number], fresh[2 * number + 1]
                cold_batches.append(asyncio.run(_batches(address, one)))
                cold_singles.append(asyncio.run(_singles(address, other, many))[0])
                for _ in range(3):
                    warm_batches.append(asyncio.run(_batches(address, other)))
                    rate, latencies = asyncio.run(_singles(address, one, many))
                    warm_singles.append(rate)
                    waits += latencies
        waits.sort()
        found[name] = {
            "cold_batches_per_s": median(cold_batches),
            "cold_singles_per_s": median(cold_singles),
            "cold_ratio": median(b / a for a, b in zip(cold_batches, cold_singles, strict=True)),
            "warm_batches_per_s": median(warm_batches),
            "warm_singles_per_s": median(warm_singles),
            "warm_ratio": median(b / a for a, b in zip(warm_batches, warm_singles, strict=True)),
            "warm_single_p50_ms": 1e3 * waits[len(waits) // 2],
            "warm_single_p99_ms": 1e3 * waits[int(0.99 * len(waits))],
        }
    return found


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
