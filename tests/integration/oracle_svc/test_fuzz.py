"""Ten thousand broken structures and a thousand broken messages through the real process."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import grpc
import numpy as np
import psutil
import pytest
import structlog

from tests.integration.oracle_svc.fuzzing import KINDS, Fuzzed, fuzzed_messages, fuzzed_structures
from tests.integration.oracle_svc.oracle_process import LIMIT_S, OracleProcess, oracle_process, score_request
from xenolith.crystal import Crystal
from xenolith.v1 import crystal_pb2, oracle_pb2

log = structlog.get_logger(__name__)
OK = crystal_pb2.STRUCTURE_STATUS_OK
STATUSES = set(crystal_pb2.StructureStatus.values()) - {0}
SCORE = "/xenolith.v1.OracleService/Score"
EXACT = ("energy_per_atom", "e_above_hull", "amd_distance", "volume_per_atom", "nearest_reference", "novel")
LOST = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED}


def memory_mb(target: OracleProcess) -> float:
    """Resident memory of the service and of its workers."""
    me = psutil.Process(target.process.pid)
    return sum(p.memory_info().rss for p in (me, *me.children(recursive=True))) / 2**20


@pytest.fixture
def target(reference_dir: Path, tmp_path: Path) -> Iterator[OracleProcess]:
    arguments = ["--reference", str(reference_dir), "--cache", f"sqlite:///{tmp_path}/cache.db"]
    with oracle_process(tmp_path, *arguments, "--max-atoms", "200") as target:
        yield target
    assert target.process.returncode == 0


def check(
    item: Fuzzed, score: oracle_pb2.StructureScore, known: list[oracle_pb2.StructureScore], exact: bool
) -> None:
    """A good crystal has its own score; anything else has a status, and nothing that is no number."""
    if item.good is not None:
        before = known[item.good]
        assert score.status == before.status, (score.message, before.message)
        for name in EXACT:
            value, right = getattr(score, name), getattr(before, name)
            if isinstance(right, float) and not exact:
                right = pytest.approx(right, abs=2e-4)
            assert value == right, (item.kind, name)
        return
    assert score.status in STATUSES, item.kind
    assert (score.status == OK) == (not score.message), (item.kind, score.message)
    for name in ("energy_per_atom", "e_above_hull", "min_distance", "density", "volume_per_atom"):
        assert np.isfinite(getattr(score, name)), (item.kind, name)
    if not score.valid:
        assert not score.HasField("energy_per_atom"), item.kind


def fuzz(target: OracleProcess, good: list[Crystal], count: int, *, batch: int, seed: int) -> Counter[str]:
    """Send structures in batches, look at every answer; returns how many of each kind got which status."""
    rng = np.random.default_rng(seed)
    known = [target.score([crystal]).scores[0] for crystal in good]
    items = list(fuzzed_structures(good, count, rng))
    seen: Counter[str] = Counter()
    for number, start in enumerate(range(0, count, batch)):
        part = items[start : start + batch]
        cached = number % 2 == 0
        answer = target.score([item.crystal for item in part], use_cache=cached)
        assert len(answer.scores) == len(part)
        for index, (item, score) in enumerate(zip(part, answer.scores, strict=True)):
            check(item, score, known, exact=cached)
            assert not score.message or score.message.startswith(f"structure {index}: ")
            seen[f"{item.kind}: {crystal_pb2.StructureStatus.Name(score.status)[17:]}"] += 1
    return seen


def fuzz_messages(target: OracleProcess, good: list[Crystal], count: int, seed: int) -> Counter[str]:
    """Send bytes, and a good request after every ten; returns how many calls ended in which way."""
    rng = np.random.default_rng(seed)
    call = target.channel.unary_unary(SCORE, request_serializer=bytes, response_deserializer=bytes)
    before = target.score(good[:3])
    seen: Counter[str] = Counter()
    for index, data in enumerate(fuzzed_messages(score_request(good[:3]), count, rng)):
        code = grpc.StatusCode.OK
        try:
            call(data, timeout=LIMIT_S)
        except grpc.RpcError as error:
            code = error.code()
        assert code not in LOST, (code, data[:80].hex())
        seen[code.name] += 1
        if index % 10 == 9:
            after = target.score(good[:3])
            assert [s.energy_per_atom for s in after.scores] == [s.energy_per_atom for s in before.scores]
    return seen


def goods(crystals: dict[str, Crystal]) -> list[Crystal]:
    names = ("NaCl-rocksalt", "SrTiO3", "CaF2", "Si-diamond", "GaAs-zincblende", "MgO-rocksalt")
    return [crystals[name] for name in names]


def test_hundreds_of_broken_structures_and_messages_harm_nobody(target, crystals):
    good = goods(crystals)
    seen = fuzz(target, good, 300, batch=60, seed=1)
    assert {kind.partition(":")[0] for kind in seen} >= {*KINDS, "good"}
    assert set(fuzz_messages(target, good, 60, seed=2)) <= {
        "OK", "INTERNAL", "INVALID_ARGUMENT", "UNIMPLEMENTED", "FAILED_PRECONDITION",
    }  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_ten_thousand_structures_and_a_thousand_messages_leave_memory_flat(target, crystals):
    good = goods(crystals)
    rng = np.random.default_rng(3)
    million = Crystal(lattice=np.eye(3) * 300, numbers=np.full(10**6, 14), frac_coords=rng.random((10**6, 3)))
    started = time.monotonic()
    seen: Counter[str] = Counter()
    memory = []
    for part in range(5):
        seen += fuzz(target, good, 2000, batch=100, seed=10 + part)
        answer = target.score([good[0], million, good[1]])
        assert [s.status for s in answer.scores] == [OK, crystal_pb2.STRUCTURE_STATUS_TOO_LARGE, OK]
        memory.append(memory_mb(target))
    codes = fuzz_messages(target, good, 1000, seed=7)
    memory.append(memory_mb(target))
    log.info("fuzzed", seconds=round(time.monotonic() - started), structures=seen, messages=codes)
    log.info("memory of service and worker every 2,000 structures, then after the messages", mb=memory)
    assert memory[-1] < memory[1] * 1.1, "memory grows with the structures scored"
