"""compose.yaml on a real engine: strangers refused, every container killed, a disk filled, the jobs done.

XENOLITH_TEST_ENGINE holds the address of a Docker engine (``unix:///var/run/docker.sock``) to try it on,
with the compose plugin. PYTHON_IMAGE and REDIS_IMAGE name other base images than compose.yaml does;
XENOLITH_TEST_BUILD=no takes the images that are there.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml

from xenolith.client import Client, Options
from xenolith.client.results.runs import Run
from xenolith.errors import AuthenticationError, XenolithError

ROOT = Path(__file__).resolve().parents[3]
PROJECT = "xenolith-test"
PORTS = {"generator": 50951, "oracle": 50952, "trainer": 50953}
BUILT = ("generator", "oracle", "trainer", "client")
STAND_INS = {"PYTHON_IMAGE": "python:3.11-slim-bookworm", "REDIS_IMAGE": "redis:7"}
"""Images of an engine without a registry, taken where the exact ones are not at hand."""
RUN: dict[str, Any] = {
    "seed": 1,
    "groups": 2,
    "group_size": 6,
    "atom_counts": {"choices": [2]},
    "sampler": {"steps": 6},
    "evaluation": {"n": 8, "bootstrap": 100},
}
STEPS = 12
SMALL_DISK = {
    # Runs on 1 GB of memory that `holder` keeps mounted while the trainer restarts.
    "services": {
        "trainer": {"volumes": ["small:/runs"]},
        "holder": {
            "image": "xenolith-client",
            "user": "10001:10001",
            "init": True,
            "entrypoint": ["sleep", "infinity"],
            "volumes": ["small:/runs"],
        },
    },
    "volumes": {
        "small": {"driver_opts": {"type": "tmpfs", "device": "tmpfs", "o": "size=1g,uid=10001,gid=10001"}}
    },
}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]


@dataclass
class Stack:
    """A running stack of compose."""

    environment: dict[str, str]
    files: list[str]
    folder: Path
    began: float

    def say(self, text: str) -> None:
        print(f"{time.monotonic() - self.began:6.1f} s  {text}", flush=True)  # noqa: T201  # -s shows it

    def docker(self, *arguments: str, check: bool = True, timeout: float = 1200.0) -> str:
        command = ["docker", *arguments]
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
        )
        if check:
            assert done.returncode == 0, f"{' '.join(command)}:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout + done.stderr

    def compose(self, *arguments: str, check: bool = True) -> str:
        files = [part for file in self.files for part in ("-f", file)]
        return self.docker("compose", "-p", PROJECT, *files, *arguments, check=check)

    def containers(self, service: str) -> list[str]:
        labels = (f"com.docker.compose.project={PROJECT}", f"com.docker.compose.service={service}")
        filters = [part for label in labels for part in ("--filter", f"label={label}")]
        return sorted(self.docker("ps", "-q", *filters).split())

    def restarts(self, container: str) -> int:
        return int(self.docker("inspect", "-f", "{{.RestartCount}}", container))

    def well(self, container: str) -> bool:
        state = "{{.State.Running}} {{if .State.Health}}{{.State.Health.Status}}{{else}}healthy{{end}}"
        return self.docker("inspect", "-f", state, container).split() == ["true", "healthy"]

    def until_well(self, container: str, restarts: int = 0, timeout_s: float = 300.0) -> None:
        end = time.monotonic() + timeout_s
        while self.restarts(container) < restarts or not self.well(container):
            assert time.monotonic() < end, self.docker("logs", "--tail", "30", container)
            time.sleep(1.0)

    def end_processes(self, container: str, signal: int) -> None:
        """Send a signal to all processes of a container but its init: as a crash does, not as an operator."""
        self.docker("exec", container, "sh", "-c", f"kill -{signal} -1", check=False)

    def options(self, **changes: Any) -> Options:
        secrets = self.folder / "secrets" / "client"
        shown = {
            "tls_ca": secrets / "ca.pem",
            "tls_cert": secrets / "tls.pem",
            "tls_key": secrets / "tls.key",
            "token": (secrets / "token").read_text(),
            "reconnect_s": 300.0,
        }
        return Options(**(shown | changes))

    def client(self, **changes: Any) -> Client:
        addresses = {name: f"127.0.0.1:{port}" for name, port in PORTS.items()}
        return Client.connect(**addresses, options=self.options(**changes))


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    engine = os.environ.get("XENOLITH_TEST_ENGINE")
    if not engine:
        pytest.skip("set XENOLITH_TEST_ENGINE to the address of a Docker engine, such as its unix:// socket")
    folder = tmp_path_factory.mktemp("stack")
    (folder / "small-disk.yaml").write_text(yaml.safe_dump(SMALL_DISK))
    ours = ("XENOLITH_", "COMPOSE_")
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(ours)},
        "DOCKER_HOST": engine,
        "DOCKER_BUILDKIT": "1",
        "XENOLITH_STACK": str(folder / "stack"),
        "XENOLITH_UID": "10001",
        "XENOLITH_ORACLE_WORKERS": "1",
        "XENOLITH_CPUS": "1",
        **{f"XENOLITH_{name.upper()}_CPUS": "1" for name in PORTS},
        **{f"XENOLITH_{name.upper()}_PORT": str(port) for name, port in PORTS.items()},
    }
    files = ["compose.yaml", "compose.tls.yaml", str(folder / "small-disk.yaml")]
    made = Stack(environment, files, folder / "stack", time.monotonic())
    if "Docker Compose" not in made.docker("compose", "version", check=False):
        pytest.skip("the compose plugin is not installed")
    environment |= base_images(made)
    wheels = borrowed_wheels()
    try:
        for target in BUILT if os.environ.get("XENOLITH_TEST_BUILD") != "no" else ():
            made.compose("build", "prepare" if target == "client" else target)
            made.say(f"built {target}")
        scale = ("--scale", "oracle=2")
        made.compose("up", "-d", "--no-build", *scale, "gateway", "trainer", "holder")
        for service in ("redis", "generator", "oracle", "trainer", "gateway"):
            for container in made.containers(service):
                made.until_well(container)
        made.say("up, with TLS, tokens and two oracles")
        yield made
    finally:
        logs = made.compose("logs", "--no-color", "--tail", "200", check=False)
        (folder / "stack.log").write_text(logs)
        made.say(made.compose("down", "-t", "5", "--volumes", check=False).splitlines()[-1])
        for wheel in wheels:
            wheel.unlink()


def base_images(stack: Stack) -> dict[str, str]:
    """Stand-ins for base images that the caller names none of and the engine does not have."""
    found = {}
    for name, stand_in in STAND_INS.items():
        if name in os.environ:
            continue
        lines = (ROOT / "compose.yaml").read_text().splitlines()
        exact = next(line.split(":-")[1].rstrip("}") for line in lines if f"${{{name}:-" in line)
        for image in (exact, stand_in):
            if "Error" not in stack.docker("image", "inspect", image, check=False):
                found[name] = image
                break
    stack.say(f"base images: {found or 'as in compose.yaml'}")
    return found


def borrowed_wheels() -> list[Path]:
    """Put a wheel of PyTorch that pip is told of into the build context; returns what was put there."""
    if list((ROOT / "wheels").glob("torch-*.whl")):
        return []
    told = subprocess.run(
        ["pip", "config", "get", "global.find-links"], capture_output=True, text=True, check=False
    )
    at_hand = [wheel for folder in told.stdout.split() for wheel in Path(folder).glob("torch-*.whl")]
    return [Path(shutil.copy(wheel, ROOT / "wheels")) for wheel in at_hand[:1]]


def test_strangers_are_refused_and_redis_asks_for_its_password(stack: Stack) -> None:
    with stack.client() as client:
        client.wait_ready(120)
        assert client.oracle.describe().cache_backend == "redis"
    with stack.client(token="not-a-token-of-anybody") as stranger, pytest.raises(AuthenticationError):
        stranger.oracle.describe()
    with stack.client(tls_cert=None, tls_key=None, attempts=1) as nameless, pytest.raises(XenolithError):
        nameless.oracle.describe(timeout_s=5)
    with (
        grpc.insecure_channel(f"127.0.0.1:{PORTS['oracle']}") as plain,
        pytest.raises(grpc.FutureTimeoutError),
    ):
        grpc.channel_ready_future(plain).result(3)
    (redis,) = stack.containers("redis")
    assert "NOAUTH" in stack.docker("exec", redis, "redis-cli", "flushall", check=False)
    (trainer,) = stack.containers("trainer")
    reach = "import socket; socket.create_connection(('redis', 6379), 3)"
    assert "gaierror" in stack.docker("exec", trainer, "python", "-c", reach, check=False)
    stack.say("strangers are refused, Redis is out of the trainer's reach")


def test_every_container_is_killed_and_terminated_once_and_the_jobs_end_well(stack: Stack) -> None:
    to_end = [
        (service, number, signal)
        for signal in (9, 15)
        for service in ("oracle", "generator", "redis", "gateway", "trainer")
        for number in range(2 if service == "oracle" else 1)
    ]
    with stack.client() as client:
        job = client.trainer.start_run(name="job-1", steps=STEPS, **RUN)
        jobs = [job.name]
        for service, number, signal in to_end:
            if steady(client, jobs[-1]).ended:
                jobs.append(client.trainer.start_run(name=f"job-{len(jobs) + 1}", steps=STEPS, **RUN).name)
            container = stack.containers(service)[number]
            before = stack.restarts(container)
            stack.end_processes(container, signal)
            stack.until_well(container, before + 1)
            stack.say(f"signal {signal} to {service} {number + 1}: it is back")
        for name in jobs:
            run = finished(client, name)
            assert (run.state, run.steps_done) == ("SUCCEEDED", STEPS), run.message
            stack.say(f"{name}: {run.state} after {run.steps_done} steps")
    assert sum(stack.restarts(container) for container in stack.containers("oracle")) >= 4


def test_a_full_disk_ends_a_run_with_words_and_the_run_goes_on_once_there_is_room(stack: Stack) -> None:
    (holder,) = stack.containers("holder")
    # What `dd` says when nothing is left is what is wanted.
    stack.docker("exec", holder, "dd", "if=/dev/zero", "of=/runs/ballast", "bs=64k", check=False)
    stack.docker("exec", holder, "truncate", "-s", "-1M", "/runs/ballast")
    stack.say("the disk of runs is full but for 1 MB")
    with stack.client() as client:
        client.trainer.start_run(name="tight", steps=2, **RUN)
        run = until(client, "tight", lambda run: run.ended)
        assert run.state == "FAILED"
        assert "free some room and resume the run" in run.message
        stack.say(f"tight: {run.state}: {run.message}")
        stack.docker("exec", holder, "rm", "/runs/ballast")
        client.trainer.resume_run("tight")
        run = finished(client, "tight")
        assert (run.state, run.steps_done) == ("SUCCEEDED", 2), run.message
        stack.say(f"tight: {run.state} after {run.steps_done} steps")


def steady(client: Client, name: str) -> Run:
    """The run as it is, asked until the trainer answers; one that was interrupted goes on."""
    end = time.monotonic() + 300
    while True:
        try:
            run = client.trainer.get_run(name, timeout_s=10)
            return client.trainer.resume_run(name) if run.state == "INTERRUPTED" else run
        except XenolithError:
            assert time.monotonic() < end
            time.sleep(1)


def until(client: Client, name: str, holds: Any, timeout_s: float = 600.0) -> Run:
    end = time.monotonic() + timeout_s
    while not holds(run := steady(client, name)):
        assert time.monotonic() < end, f"{name} is {run.state} after {run.steps_done} steps: {run.message}"
        time.sleep(1)
    return run


def finished(client: Client, name: str) -> Run:
    return until(client, name, lambda run: run.ended)
