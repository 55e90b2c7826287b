"""How to reach a service: addresses, security, patience."""

import json
from dataclasses import dataclass
from pathlib import Path

import grpc

from xenolith.client.transport.retry import channel_retry
from xenolith.contract.proxies import proxy_arguments
from xenolith.errors import InvalidArgumentError

__all__ = ["Options", "channel_options", "credentials"]

MIB = 2**20
_LONGEST_KEEPALIVE_S = 86_400.0


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options common to all calls of a client."""

    token: str | None = None
    """Bearer token, sent with every call."""
    tls: bool = False
    """Connect over TLS, trusting the system's authorities unless `tls_ca` is given."""
    tls_ca: str | Path | None = None
    """Authority (PEM file) to trust; implies `tls`."""
    tls_cert: str | Path | None = None
    """Client certificate (PEM file), for services that want one; with `tls_key`."""
    tls_key: str | Path | None = None
    """Private key of `tls_cert`."""
    server_name: str = ""
    """Name that the service's certificate is to hold; empty: that of its address."""
    run_id: str = ""
    """Name of the run that the calls belong to; appears in the services' log lines."""
    attempts: int = 5
    """Attempts of a call that meets an unavailable or overloaded service, 1 to 5; 1 is no retry."""
    reconnect_s: float = 60.0
    """Seconds for which a watched stream that broke is taken up again, and an operation looked for."""
    timeout_s: float | None = None
    """Seconds until a call fails that is given no time of its own; None: what suits each. Streams that are
    watched have no end."""
    keepalive_s: float = 30.0
    """Seconds without a word from the service after which it is asked for a sign of life while a call is at
    work; 0: never. Services made with `xenolith.serving` allow it every 5 s. One that allows it more rarely
    ends the connection: ask such a one more rarely, or never."""
    keepalive_timeout_s: float = 20.0
    """Seconds after which a service that gives none is taken for lost, with the calls at work."""

    def __post_init__(self) -> None:
        if not 1 <= self.attempts <= 5:
            raise InvalidArgumentError(f"attempts is {self.attempts}, expected 1 to 5")
        if (self.tls_cert is None) != (self.tls_key is None):
            raise InvalidArgumentError("tls_cert and tls_key go together")
        for name in ("keepalive_s", "keepalive_timeout_s"):
            if not 0 <= getattr(self, name) <= _LONGEST_KEEPALIVE_S:
                raise InvalidArgumentError(f"{name} is {getattr(self, name)}, expected 0 to a day")

    @property
    def secure(self) -> bool:
        """Whether to use TLS."""
        return self.tls or self.tls_ca is not None or self.tls_cert is not None


def credentials(options: Options) -> grpc.ChannelCredentials | None:
    """Return TLS credentials, None for plain text."""
    if not options.secure:
        return None
    ca, key, cert = (
        Path(p).read_bytes() if p else None for p in (options.tls_ca, options.tls_key, options.tls_cert)
    )
    return grpc.ssl_channel_credentials(ca, key, cert)


def channel_options(options: Options, address: str) -> list[tuple[str, int | str]]:
    """Return the arguments of a channel to an address."""
    named = ("grpc.ssl_target_name_override", "grpc.default_authority") if options.server_name else ()
    return [
        *proxy_arguments(address),
        *((argument, options.server_name) for argument in named),
        ("grpc.max_receive_message_length", -1),
        ("grpc.max_send_message_length", -1),
        ("grpc.enable_retries", 1),
        # Beyond this size a request is sent once and never again, silently; the default is 256 KiB.
        ("grpc.per_rpc_retry_buffer_size", 256 * MIB),
        # A restarted service is found again within a second or two.
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", 500),
        ("grpc.max_reconnect_backoff_ms", 2000),
        ("grpc.service_config", json.dumps(_service_config(options.attempts))),
        *_keepalive(options),
    ]


def _keepalive(options: Options) -> list[tuple[str, int]]:
    if not options.keepalive_s:
        return []
    return [
        ("grpc.keepalive_time_ms", int(options.keepalive_s * 1000)),
        ("grpc.keepalive_timeout_ms", int(options.keepalive_timeout_s * 1000)),
        # A scoring may take long, and nothing is sent in the meantime; after two pings gRPC would stop.
        ("grpc.http2.max_pings_without_data", 0),
    ]


def _service_config(attempts: int) -> dict[str, object]:
    return {
        # Spread calls over all replicas behind a name, leaving out those that report that they do not serve.
        "loadBalancingConfig": [{"round_robin": {}}],
        "healthCheckConfig": {"serviceName": ""},
        "methodConfig": channel_retry(attempts),
    }
