"""A service process from start to end: listen, answer health checks, drain on SIGTERM."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio
import structlog
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from xenolith.errors import UnavailableError
from xenolith.optional import MissingExtraError
from xenolith.serving.calls.authentication import AuthenticationInterceptor
from xenolith.serving.calls.coding import CodingInterceptor
from xenolith.serving.calls.handlers import AroundInterceptor
from xenolith.serving.calls.idle import IdleInterceptor
from xenolith.serving.calls.interceptors import admission, identity, rich_errors
from xenolith.serving.calls.observation import RefusalLog, observed
from xenolith.serving.parent import parent_gone
from xenolith.serving.settings import ServingSettings, start_logging
from xenolith.tracing import export_spans

__all__ = ["RunningServer", "running_server", "serve"]

log = structlog.get_logger(__name__)
MIB = 2**20


@dataclass(frozen=True, kw_only=True)
class RunningServer:
    """A server that answers."""

    address: str
    """``host:port`` to connect to."""
    port: int
    """Port it listens on."""
    server: grpc.aio.Server
    """The server itself."""
    health: health.aio.HealthServicer
    """Its health; the empty service name stands for the whole process."""
    metrics_port: int | None = None
    """Port of ``/metrics``, if it is served."""

    async def set_serving(self, serving: bool) -> None:
        """Tell health checks whether calls are welcome."""
        status = (
            health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        )
        await self.health.set("", status)


async def serve(
    servicers: Sequence[object],
    settings: ServingSettings,
    *,
    name: str,
    unlimited: Sequence[str] = (),
    on_start: Callable[[RunningServer], Awaitable[None]] | None = None,
    on_stop: Callable[[], Awaitable[None]] | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, then drain: refuse new calls, let those in flight finish, return.

    Parameters
    ----------
    servicers
        Instances of the generated ``...Servicer`` classes.
    settings
        Address, limits, security.
    name
        Name of the service in log lines.
    unlimited
        Full names of long-lived methods (``/xenolith.v1.TrainerService/WatchRun``) that take no admission
        slot.
    on_start
        Awaited once the server answers.
    on_stop
        Awaited when draining begins, while calls in flight are still served.

    Raises
    ------
    UnavailableError
        If the address cannot be listened on.
    """
    # Threads that compute in Python keep the event loop waiting for this long at a time, five times longer
    # unless told otherwise: health checks and small calls are to come through between them.
    sys.setswitchinterval(0.001)
    start_logging(settings, name)
    end_export = _export(name)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    watch = asyncio.create_task(parent_gone(settings.parent_pid, stop))
    try:
        async with running_server(servicers, settings, unlimited=unlimited) as running:
            log.info("serving", address=running.address, pid=os.getpid())
            if on_start:
                await on_start(running)
            await stop.wait()
            log.info("draining", grace_s=settings.grace_s)
            await running.health.enter_graceful_shutdown()
            if on_stop:
                await on_stop()
        log.info("stopped")
    finally:
        watch.cancel()
        await asyncio.to_thread(end_export)


def _export(name: str) -> Callable[[], None]:
    """Export spans if that is asked for; a service works without, and says so."""
    try:
        return export_spans(name)
    except MissingExtraError as error:
        log.warning("spans are not exported", reason=str(error))
        return lambda: None


@asynccontextmanager
async def running_server(
    servicers: Sequence[object], settings: ServingSettings | None = None, *, unlimited: Sequence[str] = ()
) -> AsyncIterator[RunningServer]:
    """Run a server inside this event loop, on a free port unless `settings` name one; drain it on leaving.

    Examples
    --------
    >>> async with running_server([OracleService()]) as running:        # doctest: +SKIP
    ...     client = AsyncClient.connect(oracle=running.address)
    """
    settings = settings or ServingSettings(grace_s=1.0)
    metrics = _metrics(servicers, settings)
    server = grpc.aio.server(
        interceptors=[
            AroundInterceptor(identity()),
            AroundInterceptor(observed(settings.access_log, metrics)),
            AroundInterceptor(rich_errors(RefusalLog(settings.refusal_log_s))),
            AuthenticationInterceptor(settings.callers()),
            AroundInterceptor(
                admission(
                    settings.max_in_flight,
                    settings.retry_after_s,
                    unlimited,
                    settings.caller_slots,
                    settings.max_waiting,
                )
            ),
            IdleInterceptor(settings.stream_idle_s),
            CodingInterceptor(),
        ],
        options=_options(settings),
    )
    names = [_register(servicer, server) for servicer in servicers]
    checker = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(checker, server)
    if settings.reflection:
        reflection.enable_server_reflection([*names, health.SERVICE_NAME, reflection.SERVICE_NAME], server)
    port = _listen(server, settings)
    await server.start()
    for service in ["", *names]:
        await checker.set(service, health_pb2.HealthCheckResponse.SERVING)
    host = "127.0.0.1" if settings.host in {"0.0.0.0", "[::]"} else settings.host  # noqa: S104  # compared only
    try:
        with (
            metrics.served(settings.metrics_host, settings.metrics_port or 0)
            if metrics
            else nullcontext() as at
        ):
            yield RunningServer(
                address=f"{host}:{port}", port=port, server=server, health=checker, metrics_port=at
            )
    finally:
        await checker.enter_graceful_shutdown()
        await server.stop(settings.grace_s)


def _metrics(servicers: Sequence[object], settings: ServingSettings) -> Any:
    if settings.metrics_port is None:
        return None
    from xenolith.serving.metrics import Metrics  # a library that only this needs

    return Metrics(servicers)


def _register(servicer: object, server: grpc.aio.Server) -> str:
    """Add a servicer with the function generated for its base class; return the full name of its service."""
    for base in type(servicer).__mro__:
        module = sys.modules.get(base.__module__)
        add: Any = getattr(module, f"add_{base.__name__}_to_server", None)
        if add is not None and module is not None:
            add(servicer, server)
            messages = sys.modules[module.__name__.removesuffix("_grpc")]
            return str(messages.DESCRIPTOR.services_by_name[base.__name__.removesuffix("Servicer")].full_name)
    raise TypeError(f"{type(servicer).__name__} inherits from no generated servicer class")


def _listen(server: grpc.aio.Server, settings: ServingSettings) -> int:
    address = f"{settings.host}:{settings.port}"
    try:
        credentials = settings.credentials()
        if credentials:
            port = server.add_secure_port(address, credentials)
        else:
            port = server.add_insecure_port(address)
    except RuntimeError as error:
        raise UnavailableError(f"cannot listen on {address}: is the port taken? ({error})") from error
    return int(port)


def _options(settings: ServingSettings) -> list[tuple[str, int]]:
    options = [
        ("grpc.max_receive_message_length", settings.max_message_mb * MIB),
        ("grpc.max_send_message_length", -1),
        # Two processes on one port would share the calls between them: the second is to fail instead.
        ("grpc.so_reuseport", 0),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", int(settings.min_ping_s * 1000)),
    ]
    if not settings.compression:
        # A few kilobytes can unpack to the largest message there may be, before anybody is asked for a token.
        options.append(("grpc.compression_enabled_algorithms_bitset", 1))
    if settings.max_connection_age_s:
        options.append(("grpc.max_connection_age_ms", int(settings.max_connection_age_s * 1000)))
        options.append(("grpc.max_connection_age_grace_ms", int(settings.grace_s * 1000)))
    return options
