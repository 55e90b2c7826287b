"""Signs of life on connections: services that hang are noticed, services that are busy are not disturbed."""

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.integration.xenolith.test_stack import settings
from xenolith.client import Client
from xenolith.errors import InvalidArgumentError, UnavailableError
from xenolith.serving import ServingSettings
from xenolith.serving.threaded import threaded_server
from xenolith.stack import Stack
from xenolith.v1 import oracle_pb2, oracle_pb2_grpc

SILENCE_S = 8.0


class SilentOracle(oracle_pb2_grpc.OracleServiceServicer):
    """Takes its time, without a word on the connection."""

    async def Describe(self, request: Any, context: Any) -> Any:
        await asyncio.sleep(SILENCE_S)
        return oracle_pb2.OracleServiceDescribeResponse(service_version="at last")


def describe(min_ping_s: float) -> str:
    with (
        threaded_server([SilentOracle()], ServingSettings(min_ping_s=min_ping_s)) as running,
        Client.connect(oracle=running.address, keepalive_s=1.0, attempts=1) as client,
    ):
        return client.oracle.describe(timeout_s=60).service_version


def test_a_service_that_is_silent_for_long_is_asked_for_signs_of_life_as_often_as_it_allows() -> None:
    assert describe(min_ping_s=0.5) == "at last"


def test_a_caller_who_asks_more_often_than_allowed_loses_the_connection() -> None:
    with pytest.raises(UnavailableError, match=r"(?i)ping"):
        describe(min_ping_s=300.0)


def test_a_call_to_a_service_that_hangs_ends_as_one_to_a_service_that_is_away(tmp_path: Path) -> None:
    with (
        Stack(settings(tmp_path, hang_s=0)) as stack,
        stack.client(keepalive_s=5.0, keepalive_timeout_s=2.0, attempts=1) as client,
    ):
        client.oracle.describe()
        pid = stack.processes["oracle"].pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        try:
            with pytest.raises(UnavailableError, match="gives no sign of life"):
                client.oracle.describe(timeout_s=100)
        finally:
            os.kill(pid, signal.SIGCONT)
        client.oracle.wait_ready()
        assert client.oracle.describe().service_version == str(pid)


@pytest.mark.parametrize("name", ["keepalive_s", "keepalive_timeout_s"])
def test_times_that_are_none_are_refused(name: str) -> None:
    with pytest.raises(InvalidArgumentError, match=name):
        Client.connect(oracle="127.0.0.1:1", **{name: -1.0})
