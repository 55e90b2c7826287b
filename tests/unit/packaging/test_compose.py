"""The stack's description against the images, and against the compose programs that are installed."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from xenolith.contract.ports import DEFAULT_PORTS

ROOT = Path(__file__).resolve().parents[3]
DOCKERFILE = ROOT / "Dockerfile"
FILES = (["compose.yaml"], ["compose.yaml", "compose.gpu.yaml"])
PROGRAMS = (["docker", "compose"], ["docker-compose"])
# Refused or ignored by docker-compose 1.29.
ONLY_V2 = {"gpus", "develop", "configs", "extends", "pull_policy"}


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    document = yaml.safe_load((ROOT / "compose.yaml").read_text())
    assert set(document) <= {"services", "volumes", "x-service", "x-environment", "x-health"}
    return document["services"]


def test_every_target_is_a_stage_of_the_dockerfile(services: dict[str, Any]) -> None:
    stages = set(re.findall(r"^FROM \S+ AS (\S+)$", DOCKERFILE.read_text(), re.MULTILINE))
    targets = {service["build"]["target"] for service in services.values() if "build" in service}
    assert targets == {"generator", "oracle", "trainer", "client"}
    assert targets <= stages


def test_services_are_locked_down_and_drain_before_they_are_killed(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert not ONLY_V2 & set(service), name
        grace_s = float(service.get("environment", {}).get("XENOLITH_GRACE_S", 0))
        assert int(service["stop_grace_period"].removesuffix("s")) > grace_s, name
        for port in service.get("ports", ()):
            assert port.startswith("127.0.0.1:"), f"{name} is published beyond this machine"


def test_images_and_stack_listen_where_clients_look(services: dict[str, Any]) -> None:
    stages = re.compile(r"^FROM \S+ AS (\S+)$(.*?)(?=^FROM |\Z)", re.MULTILINE | re.DOTALL)
    images = dict(stages.findall(DOCKERFILE.read_text()))
    for name, port in DEFAULT_PORTS.items():
        stated = re.findall(r'EXPOSE (\d+)|127\.0\.0\.1:(\d+)|"--port", "(\d+)"', images[name])
        assert [int("".join(number)) for number in stated] == [port] * 3, f"{name} in the Dockerfile"
        assert services[name]["ports"] == [f"127.0.0.1:${{XENOLITH_{name.upper()}_PORT:-{port}}}:{port}"]
        assert services[name]["healthcheck"]["test"][-1] == f"127.0.0.1:{port}"
    addresses = {name: f"{name}:{port}" for name, port in DEFAULT_PORTS.items()}
    for service in services.values():
        for variable, value in service.get("environment", {}).items():
            if called := re.fullmatch(r"(generator|oracle|trainer):\d+", str(value)):
                assert value == addresses[called[1]], variable


@pytest.mark.parametrize("files", FILES, ids="+".join)
@pytest.mark.parametrize("program", PROGRAMS, ids=" ".join)
def test_compose_accepts(program: list[str], files: list[str]) -> None:
    if not _works(program):
        pytest.skip(f"{' '.join(program)} is not installed")
    options = [part for file in files for part in ("-f", file)]
    done = subprocess.run(
        [*program, *options, "config", "-q"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def _works(program: list[str]) -> bool:
    if shutil.which(program[0]) is None:
        return False
    return subprocess.run([*program, "version"], capture_output=True, check=False).returncode == 0
