"""The replicas behind an address, for the few calls that every one of them has to get."""

import asyncio
import socket
from dataclasses import dataclass, replace

from xenolith.client.transport.endpoint import Endpoint
from xenolith.client.transport.options import Options

__all__ = ["Replica", "replicas"]


@dataclass(frozen=True, kw_only=True)
class Replica:
    """One of the servers behind an address."""

    address: str
    """What gRPC connects to."""
    name: str = ""
    """Name that its certificate is to hold, where the address is a number that was looked up; empty: the
    address itself."""

    def endpoint(self, service: Endpoint) -> Endpoint:
        """Return where it is, as an endpoint of the same service."""
        return replace(service, address=self.address)

    def options(self, options: Options) -> Options:
        """Return how it is reached."""
        return replace(options, server_name=self.name or options.server_name)


async def replicas(address: str) -> list[Replica]:
    """Return all servers that an address stands for now, at least one.

    Parameters
    ----------
    address
        ``host:port``, whose name is looked up; ``ipv4:`` or ``ipv6:`` with one or several, comma-separated;
        any other target of gRPC stands for one server.
    """
    for scheme in ("ipv4:", "ipv6:"):
        if address.startswith(scheme):
            return [Replica(address=scheme + part) for part in address.removeprefix(scheme).split(",")]
    target = address.removeprefix("dns:///")
    host, _, port = target.rpartition(":")
    if not host or not port.isdecimal() or ":" in host:
        return [Replica(address=address)]
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            host, int(port), type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG
        )
    except OSError:  # also where only a proxy knows the name: gRPC says what is wrong, if anything is
        return [Replica(address=address)]
    at = sorted({(family, str(place[0])) for family, _, _, _, place in found})
    # A name of one machine may have both kinds of address for one server.
    kinds = [family for family, _ in at]
    if len(at) == 1 or {kinds.count(kind) for kind in (socket.AF_INET, socket.AF_INET6)} == {1}:
        return [Replica(address=address)]
    many = kinds.count(socket.AF_INET) >= kinds.count(socket.AF_INET6)
    family = socket.AF_INET if many else socket.AF_INET6
    form = "ipv4:{}:{}" if family == socket.AF_INET else "ipv6:[{}]:{}"
    return [Replica(address=form.format(ip, port), name=host) for kind, ip in at if kind == family]
