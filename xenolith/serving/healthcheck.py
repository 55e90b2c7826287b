"""Ask a service whether it serves: ``python -m xenolith.serving.healthcheck HOST:PORT``, for containers.

Exit status 0: it serves. 1: it answers otherwise, or not at all.
"""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from xenolith.contract.proxies import proxy_arguments

__all__ = ["check", "main"]

_TLS = {
    "tls_ca": "certificate authority (PEM); use TLS",
    "tls_cert": "certificate (PEM) to show",
    "tls_key": "its private key (PEM)",
}


def check(
    address: str,
    *,
    service: str = "",
    timeout_s: float = 3.0,
    authority: Path | None = None,
    certificate: Path | None = None,
    key: Path | None = None,
) -> str:
    """Return the health that the service at `address` reports, such as ``SERVING``, or why there is none.

    Parameters
    ----------
    address
        ``host:port``.
    service
        Full name such as ``xenolith.v1.OracleService``; empty for the whole process.
    timeout_s
        Seconds to wait for the answer.
    authority
        Certificate (PEM) that the service's certificate is checked against; without it, no TLS.
    certificate, key
        Certificate (PEM) to show to a service that wants one, and its private key.
    """
    with _channel(address, authority, certificate, key) as channel:
        request = health_pb2.HealthCheckRequest(service=service)
        try:
            # The stub's methods are set at run time, unseen by the type checker.
            ask: Callable[..., health_pb2.HealthCheckResponse] = vars(health_pb2_grpc.HealthStub(channel))[
                "Check"
            ]
            answer = ask(request, timeout=timeout_s)
        except grpc.RpcError as error:
            return f"{error.code().name}: {error.details()}"
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))


def _channel(
    address: str, authority: Path | None, certificate: Path | None, key: Path | None
) -> grpc.Channel:
    options = proxy_arguments(address)
    if authority is None:
        return grpc.insecure_channel(address, options=options)
    shown = (key.read_bytes(), certificate.read_bytes()) if key and certificate else (None, None)
    credentials = grpc.ssl_channel_credentials(authority.read_bytes(), *shown)
    return grpc.secure_channel(address, credentials, options=options)


def main(arguments: list[str] | None = None) -> int:
    """Check as the command line says; return the exit status."""
    parser = argparse.ArgumentParser("xenolith.serving.healthcheck", description=__doc__)
    parser.add_argument("address", metavar="HOST:PORT")
    parser.add_argument("--service", default="", help="full name of one service; default: the whole process")
    parser.add_argument("--timeout-s", type=float, default=3.0)
    for name, text in _TLS.items():
        variable = f"XENOLITH_{name.upper()}"
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            type=Path,
            default=os.environ.get(variable),
            help=f"{text}; also read from {variable}",
        )
    given = parser.parse_args(arguments)
    health = check(
        given.address,
        service=given.service,
        timeout_s=given.timeout_s,
        authority=given.tls_ca,
        certificate=given.tls_cert,
        key=given.tls_key,
    )
    print(f"{given.address}: {health}")  # noqa: T201  # what the command is for
    return 0 if health == "SERVING" else 1


if __name__ == "__main__":
    sys.exit(main())
