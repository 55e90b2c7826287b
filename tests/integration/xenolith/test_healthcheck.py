"""The health check of containers against a real server, as a function and as the command that images run."""

import asyncio
import subprocess
import sys
from typing import Any

import pytest

from xenolith.client import AsyncClient, Client
from xenolith.serving import running_server
from xenolith.serving.healthcheck import check

COMMAND = [sys.executable, "-m", "xenolith.serving.healthcheck"]


def test_health_follows_the_server() -> None:
    async def scenario() -> list[str]:
        async with running_server([]) as running:
            seen = [await asyncio.to_thread(check, running.address)]
            seen.append(await asyncio.to_thread(check, running.address, service="xenolith.v1.Nobody"))
            await running.set_serving(False)
            seen.append(await asyncio.to_thread(check, running.address))
            return seen

    serving, unknown, not_serving = asyncio.run(scenario())
    assert serving == "SERVING"
    assert unknown.startswith("NOT_FOUND")
    assert not_serving == "NOT_SERVING"


def test_command_tells_by_its_exit_status() -> None:
    async def scenario() -> tuple[int, int]:
        async with running_server([]) as running:
            up = await asyncio.to_thread(subprocess.run, [*COMMAND, running.address], check=False)
            await running.set_serving(False)
            down = await asyncio.to_thread(subprocess.run, [*COMMAND, running.address], check=False)
            return up.returncode, down.returncode

    assert asyncio.run(scenario()) == (0, 1)


def test_command_fails_where_nothing_listens() -> None:
    done = subprocess.run([*COMMAND, "127.0.0.1:1"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "UNAVAILABLE" in done.stdout


def test_a_proxy_in_the_environment_does_not_stand_before_this_machine(
    monkeypatch: pytest.MonkeyPatch, echo: Any
) -> None:
    for name in ("http_proxy", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "no_grpc_proxy"):
        monkeypatch.delenv(name, raising=False)

    def ask(address: str) -> str:
        with Client.connect(oracle=address) as client:
            return client.oracle.describe(timeout_s=10).service_version

    async def scenario() -> tuple[str, str, str]:
        async with running_server([echo()]) as running:
            health = await asyncio.to_thread(check, running.address)
            with_client = await asyncio.to_thread(ask, running.address)
            async with AsyncClient.connect(oracle=running.address) as client:
                answer = await client.oracle.describe(timeout_s=10)
            return health, with_client, answer.service_version

    health, with_client, with_async_client = asyncio.run(scenario())
    assert health == "SERVING"
    assert with_client and with_async_client
