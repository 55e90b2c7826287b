"""Who is let in: named tokens, roles and slots, held against every method there is."""

import asyncio
import gzip
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest
from google.protobuf import descriptor_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from xenolith.contract.access import ACCESS, ROLES, Access, may_call
from xenolith.errors import InvalidArgumentError
from xenolith.serving import RunningServer, ServingSettings, threaded_server
from xenolith.v1 import (
    generator_pb2_grpc,
    oracle_pb2,
    oracle_pb2_grpc,
    trainer_pb2_grpc,
)

MIB = 2**20
SERVICERS = (
    generator_pb2_grpc.GeneratorServiceServicer,
    oracle_pb2_grpc.OracleServiceServicer,
    trainer_pb2_grpc.TrainerServiceServicer,
)
LONG = "0123456789abcdef"
TOKENS = {role: f"{role}-0123456789abcdef" for role in ROLES}


def write(file: Path, slots: int | None = None) -> Path:
    lines = [
        f'[{role}]\ntoken = "{token}"\nroles = ["{role}"]\n' + (f"slots = {slots}\n" if slots else "")
        for role, token in TOKENS.items()
    ]
    file.write_text("\n".join(lines))
    return file


def shown(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),)


@contextmanager
def served(*servicers: object, **settings: Any) -> Iterator[tuple[RunningServer, grpc.Channel]]:
    with (
        threaded_server(servicers, ServingSettings(grace_s=0.1, **settings)) as running,
        grpc.insecure_channel(running.address) as channel,
    ):
        yield running, channel


def code_of(channel: grpc.Channel, method: str, metadata: Any, data: bytes = b"") -> grpc.StatusCode:
    """Status of a call as a stream of bytes either way, as anybody can make one."""
    call = channel.stream_stream(method)(iter([data]), metadata=metadata, timeout=30)
    try:
        for _ in call:
            pass
    except grpc.RpcError:
        pass
    code: grpc.StatusCode = call.code()
    return code


def methods_by_reflection(channel: grpc.Channel, metadata: Any) -> set[str]:
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)

    def ask(**request: str) -> Any:
        asked = reflection_pb2.ServerReflectionRequest(**request)
        return next(stub.ServerReflectionInfo(iter([asked]), metadata=metadata, timeout=30))

    found = set()
    for service in ask(list_services="").list_services_response.service:
        answer = ask(file_containing_symbol=service.name).file_descriptor_response
        for content in answer.file_descriptor_proto:
            file = descriptor_pb2.FileDescriptorProto.FromString(content)
            found |= {
                f"/{file.package}.{one.name}/{method.name}" for one in file.service for method in one.method
            }
    return found


def test_the_table_has_a_rule_for_every_method_and_for_no_other(tmp_path: Path) -> None:
    tokens = write(tmp_path / "tokens.toml")
    with served(*(kind() for kind in SERVICERS), tokens=tokens) as (_, channel):
        assert methods_by_reflection(channel, shown(TOKENS[Access.SCORE])) == set(ACCESS)


@pytest.mark.parametrize("token", [None, "", "wrong", *TOKENS.values()])
def test_every_method_lets_in_whom_the_table_says(tmp_path: Path, token: str | None) -> None:
    tokens = write(tmp_path / "tokens.toml")
    role = next((role for role, known in TOKENS.items() if known == token), None)
    refusals = {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED}
    with served(*(kind() for kind in SERVICERS), tokens=tokens) as (_, channel):
        for method, rule in ACCESS.items():
            if rule is Access.EVERYONE:
                continue
            code = code_of(channel, method, () if token is None else shown(token))
            if role is None:
                assert code is grpc.StatusCode.UNAUTHENTICATED, method
            elif not may_call(frozenset({role}), method):
                assert code is grpc.StatusCode.PERMISSION_DENIED, method
            else:
                assert code not in refusals, method
        checked = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=30)
        assert checked.status == health_pb2.HealthCheckResponse.SERVING


def test_reflection_can_be_closed(echo: type) -> None:
    with served(echo(), reflection=False) as (_, channel):
        method = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
        assert code_of(channel, method, ()) is grpc.StatusCode.UNIMPLEMENTED


def test_packed_megabytes_without_a_token_are_not_even_received(echo: type) -> None:
    """B1: 250 MiB of packed enums."""
    size = 250 * MIB
    # Field 2 of a ScoreRequest, packed: one value a byte, four bytes each once decoded.
    field = next(f for f in oracle_pb2.ScoreRequest.DESCRIPTOR.fields if f.name == "components").number
    bomb = bytes([field << 3 | 2]) + _varint(size) + b"\x01" * size
    oracle = echo()
    process = psutil.Process(os.getpid())
    with served(oracle, token="letmein") as (_, channel):
        before = process.memory_info().rss
        assert (
            code_of(channel, "/xenolith.v1.OracleService/Score", (), bomb) is grpc.StatusCode.UNAUTHENTICATED
        )
        # The sender's own copies live in this process too; decoded, it would be a thousand MiB beyond them.
        assert process.memory_info().rss - before < 3 * size
        assert oracle.calls == 0


def test_compressed_messages_are_refused_unless_asked_for(echo: type) -> None:
    request = oracle_pb2.ScoreRequest(expected_settings_digest="a" * MIB)
    method = "/xenolith.v1.OracleService/Score"
    assert len(gzip.compress(request.SerializeToString())) < 2_000
    for accepted in (False, True):
        with served(echo(), compression=accepted) as (_, channel):
            stub = channel.unary_unary(method, request_serializer=oracle_pb2.ScoreRequest.SerializeToString)
            call = stub.with_call
            if accepted:
                call(request, compression=grpc.Compression.Gzip, timeout=30)
                continue
            with pytest.raises(grpc.RpcError) as caught:
                call(request, compression=grpc.Compression.Gzip, timeout=30)
            assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_silent_streams_of_one_caller_leave_places_to_others_and_end(echo: type, tmp_path: Path) -> None:
    """B2: as many silent streams as there are places."""
    tokens = write(tmp_path / "tokens.toml", slots=2)
    settings: dict[str, Any] = {"tokens": tokens, "max_in_flight": 4, "stream_idle_s": 1.0}
    with served(echo(), **settings) as (_, channel):
        silent = channel.stream_stream("/xenolith.v1.OracleService/ScoreStream")
        held = [silent(_never(), metadata=shown(TOKENS[Access.SCORE]), timeout=30) for _ in range(6)]
        codes = [_end(call) for call in held]
        assert codes.count(grpc.StatusCode.RESOURCE_EXHAUSTED) == 4
        assert codes.count(grpc.StatusCode.DEADLINE_EXCEEDED) == 2
        stub = oracle_pb2_grpc.OracleServiceStub(channel)
        stub.Score(oracle_pb2.ScoreRequest(), metadata=shown(TOKENS[Access.ADMIN]), timeout=30)


def test_a_stream_that_waits_for_its_answer_is_not_idle() -> None:
    request = oracle_pb2.ScoreStreamRequest()
    with served(_Slow(), stream_idle_s=0.2) as (_, channel):
        stub = oracle_pb2_grpc.OracleServiceStub(channel)
        assert len(list(stub.ScoreStream(iter([request, request]), timeout=30))) == 2


def test_tokens_are_read_again_without_a_restart(echo: type, tmp_path: Path) -> None:
    file = tmp_path / "folder" / "a.toml"
    file.parent.mkdir()
    write(file)
    describe = oracle_pb2.OracleServiceDescribeRequest()
    with served(echo(), tokens=file.parent) as (_, channel):
        stub = oracle_pb2_grpc.OracleServiceStub(channel)

        def known(token: str) -> bool:
            try:
                stub.Describe(describe, metadata=shown(token), timeout=30)
            except grpc.RpcError:
                return False
            return True

        new = "another-0123456789abcdef"
        assert (known(TOKENS[Access.SCORE]), known(new)) == (True, False)
        file.write_text("not = [toml")
        time.sleep(1.2)
        assert known(TOKENS[Access.SCORE]), "a file that is wrong takes nobody's token away"
        file.write_text(f'[new]\ntoken = "{new}"\nroles = ["score"]\n')
        time.sleep(1.2)
        assert (known(TOKENS[Access.SCORE]), known(new)) == (False, True)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "names no caller"),
        ('[a]\ntoken = ""\nroles = ["score"]', "at least 16"),
        ('[a]\ntoken = "short"\nroles = ["score"]', "at least 16"),
        ('[a]\ntoken = "0123456789abcdef"\nroles = []', "roles"),
        ('[a]\ntoken = "0123456789abcdef"\nroles = ["king"]', "roles"),
        ('[a]\ntoken = "0123456789abcdef"\nroles = ["everyone"]', "is no role"),
        ('[a]\ntoken = "0123456789abcdef"\nroles = ["score"]\nslots = 0', "slots"),
        (
            f'[a]\ntoken = "{LONG}"\nroles = ["score"]\n[b]\ntoken = "{LONG}"\nroles = ["score"]',
            "that another caller has",
        ),
        ("a = 1", "entry"),
        ("token = ", "no TOML file"),
    ],
)
def test_files_of_tokens_that_are_wrong_are_refused_at_start(tmp_path: Path, text: str, problem: str) -> None:
    """B17."""
    file = tmp_path / "tokens.toml"
    file.write_text(text)
    with pytest.raises(InvalidArgumentError, match=problem) as caught:
        ServingSettings(tokens=file).callers()
    assert "0123456789abcdef" not in str(caught.value)


def test_an_empty_or_missing_token_file_is_refused_at_start(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text(" \n")
    for name, problem in (("empty", "the token is empty"), ("nowhere", "cannot be read")):
        with pytest.raises(InvalidArgumentError, match=problem):
            ServingSettings(token_file=tmp_path / name).callers()
    with pytest.raises(InvalidArgumentError, match="is empty"):
        ServingSettings(token="").callers()


class _Slow(oracle_pb2_grpc.OracleServiceServicer):
    async def ScoreStream(self, requests: Any, context: Any) -> Any:
        async for request in requests:
            await asyncio.sleep(0.6)
            yield oracle_pb2.ScoreStreamResponse(batch_id=request.batch_id)


def _never() -> Iterator[bytes]:
    threading.Event().wait(20)
    yield from ()


def _end(call: Any) -> grpc.StatusCode:
    try:
        for _ in call:
            pass
    except grpc.RpcError:
        pass
    code: grpc.StatusCode = call.code()
    return code


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])
