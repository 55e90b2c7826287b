"""The oracle as a service: warm from Redis through gRPC, and two replicas beside one."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import grpc

from benchmarks.oracle_parts.clock import clock_of, family
from tests.redis_process import RedisServer
from xenolith.contract.wire import batch_to_proto
from xenolith.crystal import CrystalBatch
from xenolith.serving.healthcheck import check
from xenolith.stack.ports import choose_ports
from xenolith.v1 import oracle_pb2, oracle_pb2_grpc

_LARGE = [("grpc.max_receive_message_length", 2**28), ("grpc.max_send_message_length", 2**28)]
_NAMES = [1, 2, 3, 4, 5, 6]


@contextmanager
def redis_server(folder: Path) -> Iterator[str]:
    server = RedisServer(folder=folder)
    server.start()
    try:
        yield server.url
    finally:
        server.stop()


@contextmanager
def replica(folder: Path, cache: str, core: int | None) -> Iterator[Any]:
    """An oracle process with one calculator process, both on one core: a stub, and a clock of its work."""
    with (
        replica_at(folder, cache, core) as (address, now),
        grpc.insecure_channel(address, options=_LARGE) as channel,
    ):
        yield oracle_pb2_grpc.OracleServiceStub(channel), now


@contextmanager
def replica_at(folder: Path, cache: str, core: int | None, *options: str) -> Iterator[Any]:
    """An oracle process with one calculator process, both on one core: its address, and a clock."""
    port = choose_ports(None, ("oracle",))["oracle"]
    command = [sys.executable, "-m", "oracle_svc", "--port", str(port), "--cache", cache, "--workers", "1"]
    pinned = [] if core is None else ["taskset", "-c", str(core)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with (folder / f"oracle-{port}.log").open("wb") as log:
        process = subprocess.Popen([*pinned, *command, *options], stdout=log, stderr=log, env=environment)
    try:
        until = time.monotonic() + 300
        while check(f"127.0.0.1:{port}", timeout_s=2.0) != "SERVING":
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"the oracle does not serve: see {folder}/oracle-{port}.log")
            time.sleep(0.5)
        yield f"127.0.0.1:{port}", clock_of("cpu", lambda: family(process.pid))
    finally:
        process.terminate()
        process.wait(60)


def request_of(batch: CrystalBatch, *, use_cache: bool = True) -> oracle_pb2.ScoreRequest:
    return oracle_pb2.ScoreRequest(
        crystals=batch_to_proto(batch),
        components=_NAMES,  # type: ignore[arg-type]  # numbers are enum values
        settings=oracle_pb2.ScoreSettings(use_cache=use_cache),
    )


def warm(batch: CrystalBatch, folder: Path, core: int | None, repeats: int) -> dict[str, float]:
    """Structures per second of one replica whose Redis knows every structure."""
    with redis_server(folder) as cache:
        request = request_of(batch)
        with replica(folder, cache, core) as (stub, now):
            stub.Score(request, timeout=3600)
            begin = now(), time.process_time()
            seconds = [_timed(lambda: stub.Score(request, timeout=600)) for _ in range(repeats)]
            # The clock counts this process too: what it spends is the client's.
            worked = (now() - begin[0]) - (time.process_time() - begin[1])
        with replica(folder, cache, core) as (stub, _):  # another process: nothing in memory, all in Redis
            first = _timed(lambda: stub.Score(request, timeout=600))
            answer = stub.Score(request, timeout=600)
    return {
        "warm_ms": 1e3 * median(seconds) / len(batch),
        "warm_structures_per_s": len(batch) / median(seconds),
        "warm_processor_ms": 1e3 * worked / repeats / len(batch),
        "warm_first_call_of_a_new_replica_ms": 1e3 * first / len(batch),
        "hit_rate": answer.stats.cache_hits / max(1, answer.stats.cache_hits + answer.stats.cache_misses),
    }


def scaling(batches: Sequence[CrystalBatch], folder: Path, cores: Sequence[int]) -> dict[str, float]:
    """Throughput, uncached, of two replicas on a core each over that of one, interleaved."""
    requests = [request_of(batch, use_cache=False) for batch in batches]
    with ExitStack() as stack:
        stubs = [stack.enter_context(replica(folder, "none", core))[0] for core in cores]
        for stub in stubs:
            stub.Score(requests[0], timeout=3600)
        alone, together = [], []
        for _ in range(3):
            alone.append(_timed(lambda: [stubs[0].Score(r, timeout=3600) for r in requests]))
            together.append(_timed(lambda: _share(stubs, requests)))
    # Together each replica answers all requests: the work is as many times larger.
    ratios = [len(stubs) * one / both for one, both in zip(alone, together, strict=True)]
    return {"replica_scaling": median(ratios), "one_replica_s": median(alone), "two_s": median(together)}


def _share(stubs: Sequence[Any], requests: Sequence[Any]) -> None:
    with ThreadPoolExecutor(len(stubs)) as threads:
        list(threads.map(lambda stub: [stub.Score(r, timeout=3600) for r in requests], stubs))


def _timed(action: Any) -> float:
    begin = time.perf_counter()
    action()
    return time.perf_counter() - begin
