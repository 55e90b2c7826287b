"""Where a service is, what goes with every call to it, and its errors and health in our own words."""

import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import grpc
from grpc_health.v1 import health_pb2

from xenolith.client.transport.options import Options
from xenolith.contract.errors import error_from_call
from xenolith.contract.metadata import REQUEST_ID_KEY, RUN_ID_KEY, TOKEN_KEY, bearer
from xenolith.contract.ports import DEFAULT_PORTS
from xenolith.errors import DeadlineError, InvalidArgumentError, XenolithError
from xenolith.tracing import Span, SpanKind, TraceContext, current_call, span
from xenolith.v1 import generator_pb2_grpc, oracle_pb2_grpc, trainer_pb2_grpc

__all__ = ["Endpoint", "call_metadata", "no_address", "open_endpoints", "unconfigured"]

_STUBS: dict[str, Callable[[Any], Any]] = {
    "generator": generator_pb2_grpc.GeneratorServiceStub,
    "oracle": oracle_pb2_grpc.OracleServiceStub,
    "trainer": trainer_pb2_grpc.TrainerServiceStub,
}
_LAST_PORT = 65_535
_SERVING = health_pb2.HealthCheckResponse.SERVING


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """A service at an address."""

    name: str
    """``generator``, ``oracle`` or ``trainer``."""
    address: str
    """``host:port``, or any target that gRPC resolves, such as ``dns:///oracle:50052``."""

    @contextmanager
    def errors(self, method: str) -> Iterator[None]:
        """Turn what grpc raises of `method` into what this package raises."""
        try:
            yield
        except grpc.RpcError as error:
            raise error_from_call(error, service=self.name, address=self.address, method=method) from error

    @contextmanager
    def calling(self, method: str) -> Iterator[Span]:
        """Measure a call of `method` as part of what the work at hand belongs to; errors are ours."""
        service = f"xenolith.v1.{self.name.capitalize()}Service"
        attributes = {
            "rpc.system": "grpc",
            "rpc.service": service,
            "rpc.method": method,
            "server.address": self.address,
        }
        with span(f"{service}/{method}", SpanKind.CLIENT, attributes) as measured, self.errors(method):
            yield measured

    def stub(self, channel: Any) -> Any:
        """Return the generated stub."""
        return _STUBS[self.name](channel)

    def health(self, channel: Any) -> Any:
        """Return the method that asks for the service's health."""
        return channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )

    def health_request(self) -> health_pb2.HealthCheckRequest:
        """Return what to ask it."""
        return health_pb2.HealthCheckRequest(service=f"xenolith.v1.{self.name.capitalize()}Service")

    def is_serving(self, answer: health_pb2.HealthCheckResponse) -> bool:
        """Whether the answer says that it serves."""
        return bool(answer.status == _SERVING)

    def not_ready(self, timeout_s: float, last: XenolithError | None) -> DeadlineError:
        """Return the error that it does not serve after `timeout_s` seconds; `last` is the last attempt's."""
        why = f": {last}" if last else ""
        return DeadlineError(f"the {self.name} at {self.address} does not serve after {timeout_s:g} s{why}")


def open_endpoints(
    generator: str | None,
    oracle: str | None,
    trainer: str | None,
    options: Options | None,
    more: Mapping[str, Any],
) -> tuple[list[Endpoint], Options]:
    """Return the endpoints that were given, and the options; checks both."""
    given = {"generator": generator, "oracle": oracle, "trainer": trainer}
    endpoints = [Endpoint(name=name, address=_checked(name, at)) for name, at in given.items() if at]
    if options is not None and more:
        raise InvalidArgumentError(f"give {', '.join(more)} inside options, not beside them")
    try:
        return endpoints, options or Options(**more)
    except TypeError as error:
        raise InvalidArgumentError(f"connect: {str(error).replace('Options.__init__() ', '')}") from error


def call_metadata(
    options: Options, request_id: str = "", trace: TraceContext | None = None
) -> tuple[tuple[str, str], ...]:
    """Return what goes with a call: a request id, the run, the place in a trace, the token.

    What is not given is that of the call being served, where this one is made on its behalf. A request that
    belongs to none gets an id of its own.
    """
    current = current_call()
    metadata = [(REQUEST_ID_KEY, request_id or current.request_id or uuid.uuid4().hex)]
    if run_id := options.run_id or current.run_id:
        metadata.append((RUN_ID_KEY, run_id))
    if place := trace or current.trace:
        metadata += place.metadata()
    if options.token:
        metadata.append((TOKEN_KEY, bearer(options.token)))
    return tuple(metadata)


def no_address() -> InvalidArgumentError:
    """Return the error that no address at all was given."""
    return InvalidArgumentError(
        f"no address given: connect(oracle='localhost:{DEFAULT_PORTS['oracle']}'), for example;"
        " Client() finds the local stack"
    )


def unconfigured(name: str, *, local: bool) -> InvalidArgumentError:
    """Return the error for a service without an address; `local` is a client that looked for a stack."""
    address = f"{name}='localhost:{DEFAULT_PORTS[name]}'"
    if local:
        return InvalidArgumentError(
            f"the local stack has no {name}: `xenolith up` starts all three services, or give addresses:"
            f" Client({address}, ...)"
        )
    return InvalidArgumentError(f"no {name} address given: connect({address})")


def _checked(name: str, address: str) -> str:
    if re.fullmatch(r"https?://.*", address):
        raise InvalidArgumentError(f"{name}={address!r}: leave out http://, and give host:port")
    if ":" not in address:
        raise InvalidArgumentError(
            f"{name}={address!r} has no port; the usual one is {address}:{DEFAULT_PORTS[name]}"
        )
    port = address.rpartition(":")[2]
    # gRPC would take the remainder by 65536, and knock at another door.
    if port.isdecimal() and int(port) > _LAST_PORT:
        raise InvalidArgumentError(f"{name}={address!r}: ports end at {_LAST_PORT}")
    return address
