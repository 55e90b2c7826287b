"""Figures for Prometheus over HTTP: calls by method and status, their duration, what a service counts itself.

Off unless a port is given. A servicer adds its own figures by a method ``metric_samples``.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Protocol, runtime_checkable

import grpc
import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from xenolith.serving.handlers import Around, CallInfo
from xenolith.serving.interceptors import is_infrastructure
from xenolith.serving.metric_sample import MetricSample

__all__ = ["Metrics"]

log = structlog.get_logger(__name__)
_SECONDS = (0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0, 300.0)


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
        self._registry = CollectorRegistry()
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
            buckets=_SECONDS,
            registry=self._registry,
        )

    def collect(self) -> Iterator[Metric]:
        """Figures of the servicers, for Prometheus' client library."""
        families: dict[str, Any] = {}
        for servicer in self._measured:
            for one in servicer.metric_samples():
                kind = CounterMetricFamily if one.kind == "counter" else GaugeMetricFamily
                family = families.setdefault(one.name, kind(one.name, one.help, labels=list(one.labels)))
                family.add_metric(list(one.labels.values()), one.value)
        yield from families.values()

    def around(self) -> Around:
        """Count every call but health checks. The outermost, so that refused calls count too."""

        @asynccontextmanager
        async def around(call: CallInfo, context: Any) -> AsyncIterator[None]:
            if is_infrastructure(call.method):
                yield
                return
            method = call.method.rpartition("/")[2]
            begin, code = time.perf_counter(), grpc.StatusCode.OK.name
            self._running.labels(method).inc()
            try:
                yield
            except asyncio.CancelledError:
                code = grpc.StatusCode.CANCELLED.name
                raise
            except BaseException:
                code = getattr(context.code(), "name", grpc.StatusCode.UNKNOWN.name)
                raise
            finally:
                self._running.labels(method).dec()
                self._calls.labels(method, code).inc()
                self._seconds.labels(method).observe(time.perf_counter() - begin)

        return around

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
