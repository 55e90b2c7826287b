"""What Prometheus reads of a service."""

import time
import urllib.request
from collections.abc import Iterator

import grpc
import psutil
import pytest

from examples.example_oracle.oracle import ExampleOracle
from oracle_svc.cache import open_cache
from oracle_svc.pipeline.results import Component, Provenance, Score, ScoredBatch, Stats
from oracle_svc.service.totals import Totals
from oracle_svc.status import Outcome, Status
from xenolith.serving import ServingSettings, threaded_server
from xenolith.serving.metric_sample import MetricSample
from xenolith.v1 import crystal_pb2, oracle_pb2, oracle_pb2_grpc


class Counting(ExampleOracle):
    """The example, with the figures of the oracle that ships."""

    def __init__(self) -> None:
        super().__init__()
        self.totals = Totals()

    def metric_samples(self) -> Iterator[MetricSample]:
        return self.totals.metric_samples(open_cache("none"))


def scored() -> ScoredBatch:
    statuses = (Status.OK, Status.OK, Status.NONFINITE)
    scores = tuple(Score(outcomes={Component.VALIDITY: Outcome(status=status)}) for status in statuses)
    stats = Stats(cache_hits=3, cache_misses=2, calculator_calls=1, seconds={"energy": 0.5})
    provenance = Provenance(
        calculator_id="emt", calculator_version="1", reference_id="", hull_id="", settings_digest="",
        amd_tolerance=0.1, matcher=None,
    )  # fmt: skip
    return ScoredBatch(scores=scores, provenance=provenance, stats=stats, warnings=())


def read(port: int) -> set[str]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        return {line for line in answer.read().decode().splitlines() if not line.startswith("#")}


def test_calls_and_the_service_s_own_figures_are_served() -> None:
    oracle = Counting()
    with (
        threaded_server([oracle], ServingSettings(grace_s=0.1, metrics_port=0)) as running,
        grpc.insecure_channel(running.address) as channel,
    ):
        assert running.metrics_port
        stub = oracle_pb2_grpc.OracleServiceStub(channel)
        stub.Describe(oracle_pb2.OracleServiceDescribeRequest(), timeout=30)
        stub.Score(oracle_pb2.ScoreRequest(components=[1]), timeout=30)
        wrong = oracle_pb2.ScoreRequest(crystals=crystal_pb2.CrystalBatch(num_atoms=[1]), components=[1])
        with pytest.raises(grpc.RpcError):
            stub.Score(wrong, timeout=30)
        oracle.totals.add(scored())
        oracle.totals.add(scored())
        # The caller has its status a moment before the call is counted.
        for _ in range(500):
            lines = read(running.metrics_port)
            if 'xenolith_calls_in_flight{method="Score"} 0.0' in lines:
                break
            time.sleep(0.01)
    assert lines >= {
        'xenolith_calls_total{code="OK",method="Describe"} 1.0',
        'xenolith_calls_total{code="OK",method="Score"} 1.0',
        'xenolith_calls_total{code="INVALID_ARGUMENT",method="Score"} 1.0',
        'xenolith_calls_in_flight{method="Score"} 0.0',
        'xenolith_call_seconds_count{method="Score"} 2.0',
        "xenolith_oracle_cache_hits_total 6.0",
        "xenolith_oracle_cache_misses_total 4.0",
        "xenolith_oracle_calculator_calls_total 2.0",
        'xenolith_oracle_structures_total{status="NONFINITE"} 2.0',
        'xenolith_oracle_structures_total{status="OK"} 4.0',
        'xenolith_oracle_stage_seconds_total{stage="energy"} 1.0',
        "xenolith_oracle_cache_up 1.0",
    }


def test_no_port_is_opened_unless_asked_for() -> None:
    with threaded_server([ExampleOracle()], ServingSettings(grace_s=0.1)) as running:
        assert running.metrics_port is None


def test_metrics_are_for_this_machine_where_the_service_is_for_all() -> None:
    """B19."""
    everywhere = "0.0.0.0"  # noqa: S104  # what is tried
    settings = ServingSettings(grace_s=0.1, host=everywhere, metrics_port=0)
    with threaded_server([ExampleOracle()], settings) as running:
        heard = {one.laddr.port: one.laddr.ip for one in psutil.Process().net_connections("tcp4")}
        assert heard[running.metrics_port] == "127.0.0.1"
