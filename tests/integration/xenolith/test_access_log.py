"""What each call leaves in the log."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import pytest
import structlog
from pydantic import SecretStr

from xenolith.client import Client
from xenolith.errors import AuthenticationError
from xenolith.serving import ServingSettings, threaded_server
from xenolith.v1 import crystal_pb2, oracle_pb2, oracle_pb2_grpc


@contextmanager
def logged() -> Iterator[list[Any]]:
    with structlog.testing.capture_logs([structlog.contextvars.merge_contextvars]) as lines:
        yield lines


def events(lines: list[Any], event: str, least: int) -> list[Any]:
    """Lines of an event, once there are `least` of them: a call's line comes a moment after its answer."""
    for _ in range(500):
        found = [line for line in lines if line["event"] == event]
        if len(found) >= least:
            return found
        time.sleep(0.01)
    raise AssertionError(f"not {least} of {event!r} in {lines}")


def request(mode: str = "") -> oracle_pb2.ScoreRequest:
    settings = oracle_pb2.ScoreSettings(calculator_id=mode)
    return oracle_pb2.ScoreRequest(crystals=crystal_pb2.CrystalBatch(num_atoms=[1]), settings=settings)


def test_every_call_leaves_one_line_with_who_what_and_how_much(echo: Any, tmp_path: Any) -> None:
    tokens = tmp_path / "tokens.toml"
    tokens.write_text('[anna]\ntoken = "sixteen-characters"\nroles = ["score"]\n')
    metadata = (
        ("authorization", "Bearer sixteen-characters"),
        ("x-request-id", "r1"),
        ("x-run-id", "run-7"),
    )
    settings = ServingSettings(grace_s=0.1, tokens=tokens, access_log="info")
    with (
        logged() as lines,
        threaded_server([echo()], settings) as running,
        grpc.insecure_channel(running.address) as channel,
    ):
        answer = oracle_pb2_grpc.OracleServiceStub(channel).Score(request(), metadata=metadata, timeout=30)
        line = events(lines, "call", 1)[0]
    assert line["seconds"] >= 0
    assert {name: value for name, value in line.items() if name != "seconds"} == {
        "event": "call",
        "log_level": "info",
        "method": "Score",
        "code": "OK",
        "caller": "anna",
        "request_id": "r1",
        "run_id": "run-7",
        "request_bytes": request().ByteSize(),
        "response_bytes": answer.ByteSize(),
    }


def test_a_stream_s_line_counts_its_messages(echo: Any) -> None:
    batches = [oracle_pb2.ScoreStreamRequest(batch_id=index) for index in range(1, 4)]
    with (
        logged() as lines,
        threaded_server([echo()], ServingSettings(grace_s=0.1, access_log="info")) as running,
        grpc.insecure_channel(running.address) as channel,
    ):
        with pytest.raises(grpc.RpcError, match="stream over"):
            list(oracle_pb2_grpc.OracleServiceStub(channel).ScoreStream(iter(batches), timeout=30))
        line = events(lines, "call", 1)[0]
    assert (line["requests"], line["responses"]) == (3, 3)
    assert line["request_bytes"] == sum(batch.ByteSize() for batch in batches)
    assert (line["code"], line["reason"]) == ("FAILED_PRECONDITION", "stream over")


def test_a_call_that_was_let_in_and_failed_says_why(echo: Any) -> None:
    with (
        logged() as lines,
        threaded_server([echo()], ServingSettings(grace_s=0.1, access_log="info")) as running,
        grpc.insecure_channel(running.address) as channel,
    ):
        stub = oracle_pb2_grpc.OracleServiceStub(channel)
        for mode in ("invalid", "bug"):
            with pytest.raises(grpc.RpcError):
                stub.Score(request(mode), timeout=30)
        found = events(lines, "call", 2)
    assert [(line["code"], line.get("reason", "")) for line in found] == [
        ("INVALID_ARGUMENT", "columns disagree; crystals.numbers: has 3 entries, expected 2"),
        ("INTERNAL", "ZeroDivisionError in the service; its log has the rest"),
    ]


def test_a_server_in_a_script_leaves_no_lines(echo: Any) -> None:
    with (
        logged() as lines,
        threaded_server([echo()], ServingSettings(grace_s=0.1)) as running,
        Client.connect(oracle=running.address) as x,
    ):
        x.oracle.describe()
    assert not [line for line in lines if line["event"] == "call"]


def test_refusals_of_a_kind_are_told_once_and_then_counted(echo: Any) -> None:
    token = SecretStr("sixteen-characters")
    settings = ServingSettings(grace_s=0.1, token=token, refusal_log_s=1.0, access_log="info")
    with (
        logged() as lines,
        threaded_server([echo()], settings) as running,
        Client.connect(oracle=running.address, token="wrong") as x,
    ):
        for _ in range(20):
            with pytest.raises(AuthenticationError):
                x.oracle.describe()
        counted = events(lines, "calls refused", 1)
    assert len(events(lines, "call refused", 1)) == 1
    assert sum(line["count"] for line in counted) == 19
    assert (counted[0]["method"], counted[0]["code"]) == ("Describe", "UNAUTHENTICATED")
    assert "request_id" not in counted[0]
    assert not [line for line in lines if line["event"] == "call"], "the turned away leave no line each"


def test_ids_from_strangers_are_short_and_printable(echo: Any) -> None:
    with (
        logged() as lines,
        threaded_server([echo()], ServingSettings(grace_s=0.1, access_log="info")) as running,
        grpc.insecure_channel(running.address) as channel,
    ):
        stub = oracle_pb2_grpc.OracleServiceStub(channel)
        stub.Score(request(), metadata=(("x-request-id", "r" * 4000),), timeout=30)
        assert events(lines, "call", 1)[0]["request_id"] == "r" * 128
