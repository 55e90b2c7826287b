"""Spans to a collector, as OpenTelemetry's own variables say: ``OTEL_EXPORTER_OTLP_ENDPOINT`` and others.

https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
"""

import os
from collections.abc import Callable
from typing import Any

from xenolith.errors import InvalidArgumentError
from xenolith.optional import require
from xenolith.tracing.spans import record_with

__all__ = ["export_spans"]

_EXTRA = "observability"
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_PROTOCOLS = {
    "grpc": "opentelemetry.exporter.otlp.proto.grpc.trace_exporter",
    "http/protobuf": "opentelemetry.exporter.otlp.proto.http.trace_exporter",
}


def export_spans(service: str) -> Callable[[], None]:
    """Begin to export this process's spans, if the environment asks for it; returns what sends the last ones.

    Asked for by an endpoint, or by ``OTEL_TRACES_EXPORTER`` (``otlp``, ``console``, ``none``); sampler,
    headers, batches and resource are OpenTelemetry's variables too.

    Parameters
    ----------
    service
        The process; its ``service.name`` is ``xenolith-<service>`` unless the environment names it.

    Raises
    ------
    MissingExtraError
        It is asked for, and the extra ``observability`` is not installed.
    InvalidArgumentError
        A variable asks for something that is not offered.
    """
    exporters = _wanted()
    if not exporters:
        return lambda: None
    sdk = require("opentelemetry.sdk.trace", _EXTRA)
    resources = require("opentelemetry.sdk.resources", _EXTRA)
    processors = require("opentelemetry.sdk.trace.export", _EXTRA)
    provider = sdk.TracerProvider(resource=resources.Resource.create(_names(service)))
    for name in exporters:
        provider.add_span_processor(processors.BatchSpanProcessor(_exporter(name, processors)))
    record_with(provider.get_tracer("xenolith"))

    def end() -> None:
        record_with(None)
        provider.shutdown()

    return end


def _wanted() -> list[str]:
    if os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return []
    given = os.environ.get("OTEL_TRACES_EXPORTER", "")
    if not given:
        return ["otlp"] if any(os.environ.get(name) for name in _ENDPOINTS) else []
    names = [name.strip() for name in given.split(",") if name.strip() != "none"]
    for name in names:
        if name not in {"otlp", "console"}:
            raise InvalidArgumentError(
                f"OTEL_TRACES_EXPORTER is {given!r}; offered are otlp, console and none"
            )
    return names


def _exporter(name: str, processors: Any) -> Any:
    if name == "console":
        return processors.ConsoleSpanExporter()
    protocol = (
        os.environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")
        or os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL")
        or "grpc"
    )
    if protocol not in _PROTOCOLS:
        raise InvalidArgumentError(
            f"OTEL_EXPORTER_OTLP_PROTOCOL is {protocol!r}; offered are {', '.join(_PROTOCOLS)}"
        )
    return require(_PROTOCOLS[protocol], _EXTRA).OTLPSpanExporter()


def _names(service: str) -> dict[str, str]:
    named = os.environ.get("OTEL_SERVICE_NAME") or "service.name=" in os.environ.get(
        "OTEL_RESOURCE_ATTRIBUTES", ""
    )
    return {} if named else {"service.name": f"xenolith-{service}"}
