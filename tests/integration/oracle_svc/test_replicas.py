"""Two oracle processes that share a Redis."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import grpc
import numpy as np
import pytest

from tests.integration.oracle_svc.oracle_process import OracleProcess, oracle_process
from xenolith.crystal import Crystal
from xenolith.v1 import crystal_pb2, oracle_pb2

COMPONENTS = (1, 2, 4)
NO_REFERENCE = crystal_pb2.STRUCTURE_STATUS_NO_REFERENCE
CALCULATOR = {
    "factory": "diary_calculator:DiaryEMT",
    "id": "diary-emt",
    "version": "1",
    "scheme": "EMT",
    "elements": ["Cu", "Ag", "Au", "Ni", "Al", "Pd", "Pt"],
}


@pytest.fixture
def replicas(own_redis, tmp_path):
    """Two replicas, and the diary of their calculators."""
    diary = tmp_path / "diary"
    diary.touch()
    arguments = [
        "--calculator",
        "ase",
        "--calculator-settings",
        json.dumps(CALCULATOR),
        "--reference",
        "none",
    ]
    arguments += ["--cache", own_redis.url, "--atoms-per-batch", "1"]
    with ExitStack() as stack:
        pair = [
            stack.enter_context(oracle_process(tmp_path / name, *arguments, DIARY=str(diary)))
            for name in ("a", "b")
        ]
        yield pair, diary


def metals(first: float, count: int) -> list[Crystal]:
    """Copper at volumes of its own."""
    cell = (np.ones((3, 3)) - np.eye(3)) / 2
    return [
        Crystal(lattice=cell * (first + 0.01 * i), numbers=[29], frac_coords=[[0, 0, 0]])
        for i in range(count)
    ]


def energies(response: oracle_pb2.ScoreResponse) -> list[float]:
    assert all(score.HasField("energy_per_atom") for score in response.scores), response
    return [score.energy_per_atom for score in response.scores]


def in_background(replica: OracleProcess, crystals: list[Crystal]) -> tuple[threading.Thread, list[object]]:
    answers: list[object] = []

    def call() -> None:
        try:
            answers.append(replica.score(crystals, COMPONENTS))
        except grpc.RpcError as error:  # the main thread judges
            answers.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    return thread, answers


def test_two_processes_compute_every_crystal_once(replicas):
    pair, diary = replicas
    crystals = metals(3.6, 24)
    calls = [in_background(pair[0], crystals), in_background(pair[1], crystals[::-1])]
    for thread, _ in calls:
        thread.join()
    first, second = (answers[0] for _, answers in calls)
    assert energies(first) == energies(second)[::-1]
    written = Counter(line.split(maxsplit=1)[1] for line in diary.read_text().splitlines())
    assert set(written.values()) == {1}
    assert len(written) == len(crystals)
    assert first.stats.calculator_calls + second.stats.calculator_calls == len(crystals)
    again = pair[0].score(crystals, COMPONENTS)
    assert (again.stats.calculator_calls, energies(again)) == (0, energies(first))


@pytest.mark.slow
def test_a_replica_killed_in_mid_flight_keeps_nobody_waiting(replicas):
    """Rights expire with their holder: what it had stored is not computed again, the rest is."""
    (first, second), diary = replicas
    crystals = metals(4.2, 24)
    doomed, failed = in_background(first, crystals)
    _wait_for(lambda: len(diary.read_text().splitlines()) >= 4, "the first replica to be at work")
    survivor, answers = in_background(second, crystals)
    first.process.send_signal(signal.SIGKILL)
    doomed.join()
    assert "UNAVAILABLE" in str(failed[0])
    survivor.join(timeout=200)
    assert not survivor.is_alive()
    assert len(energies(answers[0])) == len(crystals)
    written = Counter(line.split(maxsplit=1)[1] for line in diary.read_text().splitlines())
    assert len(written) == len(crystals)
    assert sum(written.values()) <= len(crystals) + 3, "what the dead replica had stored was computed again"
    assert second.score(crystals, COMPONENTS).stats.calculator_calls == 0


def _wait_for(condition: object, what: str) -> None:
    deadline = time.monotonic() + 120
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.02)


def test_the_diary_is_written_by_the_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The calculator of these tests is EMT, and writes."""
    from ase.build import bulk

    from tests.integration.oracle_svc.diary_calculator import DiaryEMT

    monkeypatch.setenv("DIARY", str(tmp_path / "diary"))
    atoms = bulk("Cu")
    atoms.calc = DiaryEMT()
    assert atoms.get_potential_energy() == pytest.approx(-0.00568, abs=1e-3)
    assert (tmp_path / "diary").read_text().startswith(f"{os.getpid()} Cu ")
