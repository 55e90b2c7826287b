from __future__ import annotations

import os
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import structlog

from oracle_svc.pools.worker_pool import (
    PoolClosedError,
    WorkerDiedError,
    WorkerError,
    WorkerPool,
    WorkerStoppedError,
    WorkerTimeoutError,
)


@pytest.fixture(autouse=True)
def _handlers(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))


@pytest.fixture
def pool():
    workers = WorkerPool(handler="echo_worker:build", options={"prefix": ">"}, size=2)
    yield workers
    workers.close()


def test_requests_are_answered_by_other_processes(pool):
    answers = [pool.call({"text": str(i)}, time_limit_s=30) for i in range(5)]
    assert [answer["echo"] for answer in answers] == [">0", ">1", ">2", ">3", ">4"]
    assert os.getpid() not in {answer["pid"] for answer in answers}
    assert {answer["threads"] for answer in answers} == {"1"}


def test_many_threads_share_few_workers(pool):
    pool.warm_up()
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda i: pool.call({"text": str(i)}, time_limit_s=30), range(60)))
    assert [answer["echo"] for answer in answers] == [f">{i}" for i in range(60)]
    assert {answer["pid"] for answer in answers} <= set(pool.pids())
    assert len(pool.pids()) == 2


def test_what_a_worker_prints_is_logged_and_never_stops_it(pool):
    with structlog.testing.capture_logs() as lines:
        answer = pool.call({"say": "a banner", "text": "on"}, time_limit_s=30)
        until = time.monotonic() + 30
        while len(lines) < 50_001 and time.monotonic() < until:
            time.sleep(0.05)
    assert answer["echo"] == ">on"
    said = {"event": "worker wrote", "log_level": "info", "pid": answer["pid"]}
    assert lines[:2] == [said | {"text": "a banner"}, said | {"text": "and more"}]
    assert len(lines) == 50_001


def test_an_exception_is_an_answer(pool):
    assert pool.call({"raise": True}, time_limit_s=30) == {"error": "ValueError: not today"}
    assert pool.call({"text": "on"}, time_limit_s=30)["echo"] == ">on"


@pytest.mark.parametrize(
    ("request_", "error"), [({"die": True}, WorkerDiedError), ({"hang": True}, WorkerTimeoutError)]
)
def test_a_lost_worker_is_replaced(pool, request_, error):
    pool.warm_up()
    before = set(pool.pids())
    with pytest.raises(error):
        pool.call(request_, time_limit_s=0.5)
    answers = {pool.call({"text": "on"}, time_limit_s=30)["pid"] for _ in range(4)}
    assert len(set(pool.pids()) - before) == 1 or answers <= before
    assert len(before & set(pool.pids())) == 1


def test_a_worker_killed_while_idle_is_replaced(pool):
    pool.warm_up()
    for pid in pool.pids():
        os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while pool.pids() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert pool.call({"text": "on"}, time_limit_s=30)["echo"] == ">on"


def test_a_caller_may_stop_waiting(pool):
    pool.warm_up()
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()
    with pytest.raises(WorkerStoppedError):
        pool.call({"hang": True}, time_limit_s=3600, stop=stop.is_set)
    assert pool.call({"text": "on"}, time_limit_s=30)["echo"] == ">on"


def test_a_handler_that_cannot_be_built_says_why():
    pool = WorkerPool(handler="echo_worker:broken")
    with pytest.raises(WorkerError, match="could not start: RuntimeError: no weights"):
        pool.warm_up()
    with pytest.raises(WorkerError, match="no weights"):
        pool.call({}, time_limit_s=30)
    pool.close()


def test_closing_ends_every_process(pool):
    pool.warm_up()
    pids = pool.pids()
    pool.close()
    assert pool.pids() == []
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    with pytest.raises(PoolClosedError):
        pool.call({}, time_limit_s=1)


def test_workers_end_when_their_service_is_killed():
    """SIGKILL leaves nobody to clean up; a worker, even one at work, notices by itself."""
    import subprocess

    script = (
        "import sys, threading, time\n"
        "from oracle_svc.pools.worker_pool import WorkerPool\n"
        "pool = WorkerPool(handler='echo_worker:build', size=2)\n"
        "pool.warm_up()\n"
        "hang = dict(target=pool.call, args=({'hang': True},), kwargs={'time_limit_s': 99}, daemon=True)\n"
        "threading.Thread(**hang).start()\n"
        "time.sleep(0.3)\n"
        "print(*pool.pids(), flush=True)\n"
        "time.sleep(99)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    service = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, env=environment)
    pids = [int(pid) for pid in service.stdout.readline().split()]
    service.kill()
    service.wait()
    service.stdout.close()
    assert len(pids) == 2
    deadline = time.monotonic() + 30
    while any(map(_runs, pids)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(map(_runs, pids))


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
