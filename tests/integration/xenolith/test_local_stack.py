"""A client without addresses: it finds the stack of this machine, or says how to start one."""

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from xenolith import AsyncClient, Client
from xenolith.client.local_stack import FOLDER_VARIABLE, find_local_stack
from xenolith.contract.ports import DEFAULT_PORTS
from xenolith.errors import AuthenticationError, InvalidArgumentError, StackNotFoundError
from xenolith.serving import threaded_server
from xenolith.stack import Stack, StackSettings
from xenolith.stack.ports import choose_ports

HERE = Path(__file__).parent
PATHS = {"PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parents[2])])}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder without a stack, and an environment that names none."""
    for name in [name for name in os.environ if name.startswith("XENOLITH_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def stack(**more: Any) -> Stack:
    environment = {**PATHS, **more.pop("environment", {})}
    given = {"services": ("oracle",), "modules": dict.fromkeys(DEFAULT_PORTS, "stack_service"), **more}
    return Stack(StackSettings(grace_s=2, environment=environment, **given))


def free_ports() -> dict[str, int]:
    return choose_ports(None, tuple(DEFAULT_PORTS))


def described(client: Client) -> str:
    with client:
        return str(client.oracle.describe().service_version)


async def described_later() -> str:
    async with AsyncClient() as client:
        return str((await client.oracle.describe()).service_version)


def test_both_clients_find_what_a_program_started_here_or_in_a_folder_above(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with stack() as running:
        pid = str(running.processes["oracle"].pid)
        below = elsewhere / "notebooks" / "mine"
        below.mkdir(parents=True)
        monkeypatch.chdir(below)
        assert described(Client()) == pid
        assert asyncio.run(described_later()) == pid
        with Client() as client, pytest.raises(InvalidArgumentError, match="the local stack has no trainer"):
            client.trainer.get_run("r")
    assert not (elsewhere / "xenolith-stack" / "stack.json").exists()


def test_what_xenolith_up_started_is_found_by_the_variable(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = elsewhere / "of the stack"
    environment = {**os.environ, **PATHS, FOLDER_VARIABLE: str(folder)}
    command = [sys.executable, "-m", "xenolith.cli", "up", "oracle", "--oracle-module", "stack_service"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as up:
        try:
            while not (folder / "stack.json").exists():
                assert up.poll() is None
                time.sleep(0.1)
            monkeypatch.setenv(FOLDER_VARIABLE, str(folder))
            assert described(Client()).isdecimal()
        finally:
            up.terminate()
            up.wait(60)
    assert not (folder / "stack.json").exists()


def test_without_a_stack_both_clients_say_how_to_start_one() -> None:
    with pytest.raises(StackNotFoundError, match="start one with `xenolith up`") as caught:
        find_local_stack(ports=free_ports())
    message = str(caught.value)
    for word in ("Stack()", "Client(oracle='127.0.0.1:", "XENOLITH_ORACLE", "xenolith-stack/stack.json here"):
        assert word in message
    try:
        find_local_stack()
    except StackNotFoundError:
        for client in (Client, AsyncClient):
            with pytest.raises(StackNotFoundError, match="start one with `xenolith up`"):
                client()


def test_a_stack_that_was_killed_is_told_from_one_that_never_was(elsewhere: Path) -> None:
    with stack() as running:
        file = elsewhere / "xenolith-stack" / "stack.json"
        kept = file.read_text()
    assert str(running.addresses["oracle"]) in kept
    file.write_text(kept)
    with pytest.raises(StackNotFoundError, match=r"xenolith-stack/stack\.json, whose stack has ended"):
        find_local_stack(ports=free_ports())


def test_services_at_the_usual_ports_are_found(echo: type) -> None:
    with threaded_server([echo()]) as server:
        port = int(server.address.rpartition(":")[2])
        found, connection = find_local_stack(ports={**free_ports(), "oracle": port})
    assert (found, connection) == ({"oracle": f"127.0.0.1:{port}"}, {})


def test_the_environment_goes_before_the_stack(echo: type, monkeypatch: pytest.MonkeyPatch) -> None:
    with stack(services=("oracle", "trainer")) as running, threaded_server([echo()]) as server:
        monkeypatch.setenv("XENOLITH_ORACLE", server.address)
        assert find_local_stack()[0] == {"oracle": server.address, "trainer": running.addresses["trainer"]}
        with Client() as client:
            assert client.oracle.score([]).provenance is not None


def test_a_token_in_a_file_is_found_and_one_in_a_variable_is_never_written(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = elsewhere / "token"
    secret.write_text("a token of sixteen or more\n")
    with stack(environment={"XENOLITH_TOKEN_FILE": str(secret)}) as running:
        pid = str(running.processes["oracle"].pid)
        assert described(Client()) == pid
        with pytest.raises(AuthenticationError):
            described(Client(token="another, of the same length"))
    with stack(environment={"XENOLITH_TOKEN": "another, of the same length"}) as running:
        record = (elsewhere / "xenolith-stack" / "stack.json").read_text()
        assert "another" not in record
        with pytest.raises(AuthenticationError):
            described(Client())
        monkeypatch.setenv("XENOLITH_TOKEN", "another, of the same length")
        assert described(Client()) == str(running.processes["oracle"].pid)


def test_several_generators_are_found_at_their_common_address() -> None:
    with stack(services=("generator",), generators=2) as running:
        assert find_local_stack()[0] == {"generator": running.addresses["generator"]}
        with Client() as client:
            assert client.generator.address == running.addresses["generator"]


def test_a_stack_of_one_command_does_not_take_the_place_of_another(elsewhere: Path) -> None:
    with stack() as lasting:
        with stack(announced=False):
            assert find_local_stack()[0] == lasting.addresses
        with stack() as later:
            assert find_local_stack()[0] == later.addresses
            lasting.stop()
            assert find_local_stack()[0] == later.addresses
    assert not (elsewhere / "xenolith-stack" / "stack.json").exists()


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"pid": 1, "addresses": {"oracle": 5}, "listening": [], "files": {}}'],
)
def test_a_record_that_is_none_is_named(elsewhere: Path, text: str) -> None:
    folder = elsewhere / "xenolith-stack"
    folder.mkdir()
    (folder / "stack.json").write_text(text)
    with pytest.raises(InvalidArgumentError, match=r"stack\.json is no record of a stack .*remove it"):
        Client()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file to another user")
def test_the_record_of_another_user_is_not_followed(elsewhere: Path) -> None:
    folder = elsewhere / "xenolith-stack"
    with stack():
        file = folder / "stack.json"
        assert "oracle" in json.loads(file.read_text())["addresses"]
        os.chown(file, 12345, 12345)
        with pytest.raises(StackNotFoundError):
            find_local_stack(ports=free_ports())
        os.chown(file, 0, 0)
        assert find_local_stack(ports=free_ports())


def test_connect_wants_addresses() -> None:
    for client in (Client, AsyncClient):
        with pytest.raises(InvalidArgumentError, match=r"Client\(\) finds the local stack"):
            client.connect()
