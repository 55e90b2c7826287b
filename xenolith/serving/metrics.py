"""Figures for Prometheus over HTTP: calls by method and status, duration, size, a service's own counts.

Off unless a port is given. A servicer adds its own figures by a method ``metric_samples``.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, runtime_checkable

import structlog
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    start_http_server,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from xenolith.serving.calls.record import CallRecord
from xenolith.serving.metric_sample import SECONDS, MetricSample

__all__ = ["Metrics"]

log = structlog.get_logger(__name__)
_FAMILIES: dict[str, Any] = {
    "counter": CounterMetricFamily,
    "gauge": GaugeMetricFamily,
    "histogram": HistogramMetricFamily,
}


@runtime_checkable
class Measured(Protocol):
    """A servicer with figures of its own."""

    def metric_samples(self) -> Iterable[MetricSample]:
        """Return the figures at this moment."""
        ...


class Metrics:
    """The figures of one server.

    Parameters
    ----------
    servicers
        Those that have ``metric_samples`` are asked for them at every scrape.
    """

    def __init__(self, servicers: Sequence[object]) -> None:
        # When a figure was first counted is a second series for each, which nothing reads.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._measured = [servicer for servicer in servicers if isinstance(servicer, Measured)]
        self._registry.register(self)  # a collector is what has `collect`
        self._calls = Counter(
            "xenolith_calls",
            "Calls served, by method and status.",
            ["method", "code"],
            registry=self._registry,
        )
        self._running = Gauge(
            "xenolith_calls_in_flight", "Calls being served.", ["method"], registry=self._registry
        )
        self._seconds = Histogram(
            "xenolith_call_seconds",
            "Duration of calls, seconds.",
            ["method"],
            buckets=SECONDS,
            registry=self._registry,
        )
        self._refusals = Counter(
            "xenolith_call_refusals",
            "Calls that were refused, by method and reason: token, role, full, slots, waiting, malformed,"
            " silent, or the status in small letters.",
            ["method", "reason"],
            registry=self._registry,
        )
        self._received = Counter(
            "xenolith_call_request_bytes", "Bytes of requests.", ["method"], registry=self._registry
        )
        self._sent = Counter(
            "xenolith_call_response_bytes", "Bytes of answers.", ["method"], registry=self._registry
        )

    def collect(self) -> Iterator[Metric]:
        """Figures of the servicers, for Prometheus' client library."""
        families: dict[str, Any] = {}
        for servicer in self._measured:
            for one in servicer.metric_samples():
                family = families.get(one.name)
                if family is None:
                    family = families[one.name] = _FAMILIES[one.kind](
                        one.name, one.help, labels=list(one.labels)
                    )
                labels = list(one.labels.values())
                if one.kind == "histogram":
                    buckets = [(_bound(bound), count) for bound, count in one.buckets]
                    family.add_metric(labels, buckets, one.value)
                else:
                    family.add_metric(labels, one.value)
        yield from families.values()

    def began(self, record: CallRecord) -> None:
        """Count a call at work."""
        self._running.labels(record.name).inc()

    def ended(self, record: CallRecord) -> None:
        """Count a call by how it ended."""
        self._running.labels(record.name).dec()
        self._calls.labels(record.name, record.code).inc()
        self._seconds.labels(record.name).observe(record.seconds)
        self._received.labels(record.name).inc(record.request_bytes)
        self._sent.labels(record.name).inc(record.response_bytes)
        if record.refusal:
            self._refusals.labels(record.name, record.refusal).inc()

    @contextmanager
    def served(self, host: str, port: int) -> Iterator[int]:
        """Answer ``GET /metrics`` while the context lasts; yields the port."""
        server, thread = start_http_server(port, addr=host, registry=self._registry)
        log.info("metrics served", address=f"http://{host}:{server.server_port}/metrics")
        try:
            yield server.server_port
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


def _bound(bound: float) -> str:
    return "+Inf" if math.isinf(bound) else repr(bound)
