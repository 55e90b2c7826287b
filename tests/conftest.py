"""What every test may ask for: a real Redis server, the real crystals, and one thread per process."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.redis_process import RedisServer

if TYPE_CHECKING:
    from xenolith.bundle import Bundle

# Before anything imports numpy or torch, and inherited by the processes that tests start.
for _variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")

ROOT = Path(__file__).resolve().parents[1]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--target", help="host:port of the oracle that tests/conformance examines")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder with the Materials Project's crystals."""
    folder = os.environ.get("XENOLITH_DATA")
    if not folder:
        pytest.skip("set XENOLITH_DATA to a folder with mp20.parquet (xenolith data fetch mp-20)")
    if not (Path(folder) / "mp20.parquet").is_file():
        pytest.skip(f"no mp20.parquet in {folder}: set XENOLITH_DATA to the folder that has it")
    return Path(folder)


@pytest.fixture(scope="session")
def bundle_dir() -> Path:
    """Folder of the bundle that ships with the repository."""
    return ROOT / "bundles" / "mp20-small"


@pytest.fixture(scope="session")
def _shared_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = _new_redis(tmp_path_factory.mktemp("redis"))
    yield server
    server.stop()


@pytest.fixture
def redis_server(_shared_redis: RedisServer) -> RedisServer:
    """A running, empty Redis server, shared by all tests: do not stop this one."""
    _shared_redis.flush()
    return _shared_redis


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """``redis://`` address of a running, empty Redis server."""
    return redis_server.url


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis server of this test alone, to be stopped and started at will."""
    server = _new_redis(tmp_path)
    yield server
    server.stop()


def _new_redis(folder: Path) -> RedisServer:
    server = RedisServer(folder=folder)
    server.start()
    return server


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle of tiny random networks, at most 6 atoms."""
    from tests.tiny_bundle import make_tiny_bundle

    return make_tiny_bundle(tmp_path_factory.mktemp("bundles") / "tiny")


@pytest.fixture
def spans() -> Iterator[Any]:
    """Spans of this process, as an exporter of OpenTelemetry is given them."""
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    from xenolith.tracing import record_with

    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    record_with(provider.get_tracer("xenolith"))
    yield exporter
    record_with(None)
