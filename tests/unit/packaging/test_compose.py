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
FILES = (
    ["compose.yaml"],
    ["compose.yaml", "compose.gpu.yaml"],
    ["compose.yaml", "compose.tls.yaml"],
    ["compose.yaml", "compose.tls.yaml", "compose.gpu.yaml"],
)
PROGRAMS = (["docker", "compose"], ["docker-compose"])
# Refused or ignored by docker-compose 1.29.
ONLY_V2 = {"gpus", "develop", "configs", "extends", "pull_policy"}


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    document = yaml.safe_load((ROOT / "compose.yaml").read_text())
    # `name` and `include` are unknown to docker-compose 1.29.
    assert {key for key in document if not key.startswith("x-")} == {"services", "networks"}
    return document["services"]


def variables(text: str) -> set[str]:
    """Names that compose fills in; $$ is a dollar of the shell's."""
    return set(re.findall(r"\$\{(\w+)", text.replace("$$", "")))


def test_every_target_is_a_stage_of_the_dockerfile(services: dict[str, Any]) -> None:
    stages = set(re.findall(r"^FROM \S+ AS (\S+)$", DOCKERFILE.read_text(), re.MULTILINE))
    targets = {service["build"]["target"] for service in services.values() if "build" in service}
    assert targets == {"generator", "oracle", "oracle-dft", "trainer", "client"}
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
        assert f"127.0.0.1:${{XENOLITH_{name.upper()}_PORT:-{port}}}:{port}" in services["gateway"]["ports"]
        assert services[name]["healthcheck"]["test"][-1] == f"127.0.0.1:{port}"
    addresses = {name: f"{name}:{port}" for name, port in DEFAULT_PORTS.items()}
    for service in services.values():
        for variable, value in service.get("environment", {}).items():
            if called := re.search(r"\b(generator|oracle|trainer):\d+", str(value)):
                assert called[0] == addresses[called[1]], variable
    routes = [route.partition("=") for route in services["gateway"]["command"]]
    assert {int(port) for port, _, _ in routes} == {*DEFAULT_PORTS.values(), 50080}
    for port, _, target in routes:
        assert target.rstrip("}").endswith(f":{port}")


def test_every_container_is_bounded_restarted_and_its_log_rotated(services: dict[str, Any]) -> None:
    once = {"prepare", "dft-hull", "quickstart", "client"}
    for name, service in services.items():
        assert {"mem_limit", "cpus", "pids_limit"} <= set(service), name
        assert service["restart"] == ("no" if name in once else "unless-stopped"), name
        assert service["logging"] == {
            "driver": "json-file",
            "options": {"max-size": "10m", "max-file": "5"},
        }, name


def test_what_can_be_scaled_publishes_no_port(services: dict[str, Any]) -> None:
    published = {name for name, service in services.items() if "ports" in service}
    assert published == {"gateway", "prometheus", "grafana", "tensorboard"}


def test_redis_has_a_password_and_a_network_that_oracles_alone_share(services: dict[str, Any]) -> None:
    assert services["redis"]["networks"] == ["cache"]
    assert {name for name, service in services.items() if "cache" in service.get("networks", ())} == {
        "redis",
        "oracle",
        "oracle-dft",
        "dft-hull",
        "judge",
    }
    assert "requirepass" in "".join(services["redis"]["command"])


def test_the_oracle_is_swapped_by_one_variable() -> None:
    text = (ROOT / "compose.yaml").read_text()
    named = [line for line in text.splitlines() if "oracle:50052" in line]
    assert named and all("${XENOLITH_ORACLE_ADDRESS:-oracle:50052}" in line for line in named)


def test_what_reserves_a_gpu_computes_on_it() -> None:
    for name, service in yaml.safe_load((ROOT / "compose.gpu.yaml").read_text())["services"].items():
        assert service["deploy"]["resources"]["reservations"]["devices"][0]["driver"] == "nvidia"
        variable = f"XENOLITH_{name.upper()}_DEVICE"
        assert service["environment"][variable] == f"${{{variable}:-cuda:0}}"


def test_images_are_pinned_by_exact_tags(services: dict[str, Any]) -> None:
    for name, service in services.items():
        if "build" in service or service["image"].startswith("xenolith-"):
            continue
        assert re.fullmatch(r"\$\{\w+:-\S+:v?\d+\.\d+\.\d+[\w.-]*\}", service["image"]), name
    assert re.search(r"^ARG PYTHON_IMAGE=python:\d+\.\d+\.\d+-", DOCKERFILE.read_text(), re.MULTILINE)


def test_the_example_of_settings_lists_every_variable() -> None:
    used = set().union(*(variables(file.read_text()) for file in ROOT.glob("compose*.yaml")))
    example = (ROOT / ".env.example").read_text()
    listed = set(re.findall(r"^# ([A-Z_]+)=", example, re.MULTILINE))
    inside = {"COMPOSE_FILE", "COMPOSE_PROFILES"}
    assert listed - inside == used


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
