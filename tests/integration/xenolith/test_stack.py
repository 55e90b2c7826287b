"""The embedded stack with real processes of a small service."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from xenolith.client import Client
from xenolith.errors import AuthenticationError, InvalidArgumentError
from xenolith.stack import Stack, StackError, StackSettings
from xenolith.stack.ports import choose_ports

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
PATHS = {"PYTHONPATH": os.pathsep.join([str(HERE), str(ROOT)])}
PATIENCE_S = 60


def settings(folder: Path, **more: Any) -> StackSettings:
    environment = {**PATHS, **more.pop("environment", {})}
    given = {"services": ("oracle",), "modules": {"oracle": "stack_service"}, "grace_s": 2, **more}
    return StackSettings(home=folder / "stack", runs=folder / "runs", environment=environment, **given)


def eventually(condition: Callable[[], bool]) -> None:
    for _ in range(PATIENCE_S * 10):
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError("it did not happen")


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    # A child that has ended and was not yet waited for is gone for our purpose.
    return f"/proc/{pid}" and "State:\tZ" in Path(f"/proc/{pid}/status").read_text()


def test_starts_serves_and_leaves_nothing_behind(tmp_path: Path) -> None:
    told: list[str] = []
    with Stack(settings(tmp_path), on_event=told.append) as stack, stack.client() as client:
        described = client.oracle.describe()
        pid = stack.processes["oracle"].pid
        assert described.service_version == str(pid)
        assert described.cache_backend == f"sqlite:///{tmp_path}/stack/cache.sqlite"
    assert pid is not None
    assert is_gone(pid)
    assert told == [f"oracle serves at {stack.addresses['oracle']}"]
    log = (tmp_path / "stack" / "logs" / "oracle.log").read_text()
    assert "draining" in log
    assert "stopped" in log


def test_the_trainer_alone_is_given_a_port_for_its_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = StackSettings(home=tmp_path / "stack", services=("oracle", "trainer"), page=True)
    stack = Stack(given)
    port = stack.processes["trainer"].environment["XENOLITH_TRAINER_PAGE_PORT"]
    assert stack.page == f"http://127.0.0.1:{port}/" == stack.to_dict()["trainer"]["page"]
    assert port not in {address.rpartition(":")[2] for address in stack.addresses.values()}
    assert "XENOLITH_TRAINER_PAGE_PORT" not in stack.processes["oracle"].environment
    monkeypatch.setenv("XENOLITH_TRAINER_PAGE_PORT", "1")
    assert Stack(given).page is None, "the user has chosen one"
    monkeypatch.delenv("XENOLITH_TRAINER_PAGE_PORT")
    assert Stack(StackSettings(home=tmp_path / "stack", services=("oracle",), page=True)).page is None


def test_a_token_and_a_port_of_metrics_are_for_all_services(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B20, B21: each service has a port of its own, and the client of the stack has the token."""
    ports = choose_ports(None, ("first",))
    monkeypatch.setenv("XENOLITH_TOKEN", "of-the-stack")
    monkeypatch.setenv("XENOLITH_METRICS_PORT", str(ports["first"]))
    modules = dict.fromkeys(("generator", "oracle"), "stack_service")
    with Stack(settings(tmp_path, services=("generator", "oracle"), modules=modules)) as stack:
        asked = [stack.processes[name].environment["XENOLITH_METRICS_PORT"] for name in modules]
        assert asked == [str(ports["first"]), str(ports["first"] + 1)]
        with stack.client() as client:
            assert client.oracle.describe().service_version == str(stack.processes["oracle"].pid)
        with stack.client(token="another") as stranger, pytest.raises(AuthenticationError):
            stranger.oracle.describe()


def test_a_killed_service_is_started_again_at_the_same_address(tmp_path: Path) -> None:
    told: list[str] = []
    with Stack(settings(tmp_path), on_event=told.append) as stack, stack.client() as client:
        first = stack.processes["oracle"].pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        eventually(lambda: stack.processes["oracle"].pid != first)
        client.oracle.wait_ready(PATIENCE_S)
        assert client.oracle.describe().service_version == str(stack.processes["oracle"].pid)
    assert "the oracle ended with status -9; starting it again" in told


def test_a_service_that_hangs_is_ended_and_started_again(tmp_path: Path) -> None:
    told: list[str] = []
    with Stack(settings(tmp_path, hang_s=3), on_event=told.append) as stack, stack.client() as client:
        first = stack.processes["oracle"].pid
        assert first is not None
        client.oracle.describe()
        # It lives, its port takes connections, and nothing answers there.
        os.kill(first, signal.SIGSTOP)
        eventually(lambda: stack.processes["oracle"].pid != first)
        client.oracle.wait_ready(PATIENCE_S)
        assert client.oracle.describe().service_version == str(stack.processes["oracle"].pid)
        assert is_gone(first)
    assert "the oracle does not answer its health checks and is ended" in told


def test_a_service_that_only_takes_long_to_start_is_not_taken_to_hang(tmp_path: Path) -> None:
    told: list[str] = []
    slow = settings(tmp_path, hang_s=0.3, environment={"STACK_TEST_SLEEPS": "4"})
    with Stack(slow, on_event=told.append) as stack:
        pid = stack.processes["oracle"].pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: stack.processes["oracle"].pid != pid)
        stack.processes["oracle"].wait_serving(PATIENCE_S)
    assert not [line for line in told if "health checks" in line]


def test_a_service_that_does_not_start_says_why(tmp_path: Path) -> None:
    failing = settings(tmp_path, environment={"STACK_TEST_FAILS": "1"})
    with pytest.raises(StackError, match="no model to be found") as caught, Stack(failing):
        pass
    assert "the oracle ended with status 1 while starting" in str(caught.value)


def test_a_service_that_never_serves_is_given_up_and_stopped(tmp_path: Path) -> None:
    sleeping = settings(tmp_path, modules={"oracle": "http.server"}, startup_s=1.5)
    stack = Stack(sleeping)
    with pytest.raises(StackError), stack:
        pass
    pid = stack.processes["oracle"].pid
    assert pid is not None
    assert is_gone(pid)


def test_services_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from test_stack import settings; "
        "from xenolith.stack import Stack\n"
        "with Stack(settings(Path(sys.argv[1]))) as stack:\n"
        "    print(stack.processes['oracle'].pid, flush=True); time.sleep(600)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)],
        stdout=subprocess.PIPE,
        env={**os.environ, **PATHS},
        text=True,
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert not is_gone(child)
    parent.kill()
    parent.wait()
    eventually(lambda: is_gone(child))
    parent.stdout.close()


@pytest.fixture
def heeding_interrupts() -> Iterator[None]:
    """Children of a process that a shell started in the background would ignore SIGINT, as it does."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heeding_interrupts")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_up_serves_until_told_to_stop(tmp_path: Path, number: int) -> None:
    command = [
        sys.executable,
        "-m",
        "xenolith.cli",
        "up",
        "oracle",
        "--oracle-module",
        "stack_service",
        "--json",
        "-",
    ]
    up = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **PATHS},
        cwd=tmp_path,
        text=True,
    )
    assert up.stdout is not None
    text = ""
    while not text.endswith("}\n}\n"):
        line = up.stdout.readline()
        assert line, up.communicate()[1]
        text += line
    told = json.loads(text)
    assert Path(told["oracle"]["log"]) == tmp_path / "xenolith-stack" / "logs" / "oracle.log"
    up.send_signal(number)
    _, errors = up.communicate(timeout=PATIENCE_S)
    assert up.returncode == 0, errors
    assert "stopped" in errors
    assert is_gone(told["oracle"]["pid"])


def test_several_generators_share_one_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modules = {"generator": "stack_service"}
    wanted = settings(tmp_path, services=("generator",), modules=modules, generators=2)
    with Stack(wanted) as stack:
        assert list(stack.processes) == ["generator", "generator-2"]
        threads = {process.environment["XENOLITH_GENERATOR_THREADS"] for process in stack.processes.values()}
        assert threads == {"1"}
        pids = {str(process.pid) for process in stack.processes.values()}
        # The small service is an oracle by its contract; gRPC asks it by turns once it is connected to both.
        with Client.connect(oracle=stack.addresses["generator"]) as client:
            eventually(lambda: {client.oracle.describe().service_version for _ in range(2)} == pids)
    with pytest.raises(InvalidArgumentError, match="generators is 0"):
        Stack(settings(tmp_path, generators=0))
    monkeypatch.setenv("XENOLITH_TLS_CERT", "certificate.pem")
    with pytest.raises(InvalidArgumentError, match="cannot have TLS"):
        Stack(wanted)
