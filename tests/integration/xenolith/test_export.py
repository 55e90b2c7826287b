"""Spans of a service process reach a collector over OTLP, as OpenTelemetry's variables say."""

import os
import queue
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

from xenolith.client import Client
from xenolith.errors import InvalidArgumentError
from xenolith.optional import MissingExtraError
from xenolith.tracing import export_spans

SERVE = """
import asyncio
from examples.example_oracle.oracle import ExampleOracle
from xenolith.serving import ServingSettings, serve

async def ready(running):
    print(running.address, flush=True)

asyncio.run(serve([ExampleOracle()], ServingSettings(grace_s=1), name="oracle", on_start=ready))
"""
WITHOUT = """
import sys
sys.modules["opentelemetry.sdk.trace"] = None
"""


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """Keeps what it is sent."""

    def __init__(self) -> None:
        self.received: queue.Queue[Any] = queue.Queue()

    def Export(self, request: Any, context: Any) -> Any:
        self.received.put(request)
        return trace_service_pb2.ExportTraceServiceResponse()


@pytest.fixture
def collector() -> Iterator[tuple[Collector, str]]:
    servicer, server = Collector(), grpc.server(ThreadPoolExecutor(2))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield servicer, f"http://127.0.0.1:{port}"
    server.stop(None).wait()


def serve(program: str, **variables: str) -> tuple[str, str]:
    """Start a service, describe it, stop it; gives its log."""
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    address = process.stdout.readline().strip()
    with Client.connect(oracle=address) as x:
        described = x.oracle.describe().service_version
    process.terminate()
    _, log = process.communicate(timeout=60)
    return described, log


def test_a_service_exports_its_spans_and_the_last_ones_when_it_ends(
    collector: tuple[Collector, str],
) -> None:
    servicer, endpoint = collector
    serve(SERVE, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, OTEL_RESOURCE_ATTRIBUTES="deployment=test")
    sent = servicer.received.get(timeout=30).resource_spans[0]
    resource = {each.key: each.value.string_value for each in sent.resource.attributes}
    assert (resource["service.name"], resource["deployment"]) == ("xenolith-oracle", "test")
    (span,) = sent.scope_spans[0].spans
    assert span.name == "xenolith.v1.OracleService/Describe"
    attributes = {each.key: each.value for each in span.attributes}
    assert attributes["rpc.grpc.status_code"].int_value == 0
    assert len(attributes["xenolith.request_id"].string_value) == 32


def test_a_service_without_the_extra_serves_and_says_that_it_exports_nothing() -> None:
    described, log = serve(WITHOUT + SERVE, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1")
    assert described
    assert "spans are not exported" in log
    assert "pip install 'xenolith[observability]'" in log


def test_nothing_is_exported_unless_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    export_spans("oracle")()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(MissingExtraError, match="observability"):
        export_spans("oracle")
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    export_spans("oracle")()
    monkeypatch.setenv("OTEL_SDK_DISABLED", "false")
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "zipkin")
    with pytest.raises(InvalidArgumentError, match="otlp, console and none"):
        export_spans("oracle")
