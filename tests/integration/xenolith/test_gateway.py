"""The gateway before real servers: replicas by turns, one that is gone, services that are away."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from xenolith.client import Client
from xenolith.serving import running_server
from xenolith.stack.gateway import Gateway, main
from xenolith.v1 import oracle_pb2, oracle_pb2_grpc


class Oracle(oracle_pb2_grpc.OracleServiceServicer):
    async def Describe(self, request, context):
        return oracle_pb2.OracleServiceDescribeResponse(service_version="7")


@contextmanager
def gateway(target: str) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "xenolith.stack.gateway", f"{port}={target}"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=dict(os.environ))
    try:
        assert process.stderr is not None
        assert "gateway ready" in process.stderr.readline()
        yield f"127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


def test_a_client_reaches_a_service_through_it_and_again_after_a_restart() -> None:
    async def serve_once(call) -> None:
        async with running_server([Oracle()]) as server:
            with gateway(server.address) as address:
                await asyncio.to_thread(call, address)

    def call(address: str) -> None:
        with Client.connect(oracle=address) as client:
            assert client.oracle.describe().service_version == "7"

    asyncio.run(serve_once(call))


def test_connections_go_to_the_replica_with_the_fewest_and_past_one_that_is_gone() -> None:
    async def scenario() -> None:
        async def name(at: str, reader, writer) -> None:
            writer.write(at.encode())
            await reader.read()  # until the caller has said all
            writer.write(b".")
            writer.close()

        first = await asyncio.start_server(lambda r, w: name("1", r, w), "127.0.0.1", 0)
        port = first.sockets[0].getsockname()[1]
        second = await asyncio.start_server(lambda r, w: name("2", r, w), "127.0.0.2", port)
        door = Gateway(["127.0.0.1", "127.0.0.2"], port)
        server = await door.serve(0, "127.0.0.1")
        at = server.sockets[0].getsockname()[1]

        async def reached() -> tuple[bytes, asyncio.StreamWriter, asyncio.StreamReader]:
            reader, writer = await asyncio.open_connection("127.0.0.1", at)
            return await reader.read(1), writer, reader

        seen = [await reached() for _ in range(4)]
        assert sorted(said for said, _, _ in seen) == [b"1", b"1", b"2", b"2"]
        for _, writer, reader in seen:
            writer.write_eof()
            assert await reader.read() == b"."
            writer.close()
        second.close()
        await second.wait_closed()
        assert [(await reached())[0] for _ in range(2)] == [b"1", b"1"]
        first.close()
        server.close()

    asyncio.run(asyncio.wait_for(scenario(), 30))


def test_a_service_that_is_away_closes_the_connection_and_costs_the_gateway_nothing() -> None:
    with gateway("127.0.0.1:9") as address:
        host, _, port = address.partition(":")
        for _ in range(3):
            with socket.create_connection((host, int(port)), 5) as caller:
                assert caller.recv(1) == b""


def test_a_wrong_route_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["50052=oracle"]) == 2
    assert "PORT=HOST:PORT" in capsys.readouterr().err
