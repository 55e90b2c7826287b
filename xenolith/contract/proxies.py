"""Proxies of the environment stand between nobody and the services of his own machine."""

import ipaddress
import re
import socket

__all__ = ["is_on_this_machine", "proxy_arguments"]

_IPV4 = 4
_SCHEME = re.compile(r"^(?:dns:(?://[^/]*/)?|ipv4:|ipv6:(?=\[))/{0,3}")


def proxy_arguments(address: str) -> list[tuple[str, int | str]]:
    """Return a channel's arguments about proxies.

    gRPC sends every connection through ``http_proxy``, ``https_proxy`` or ``grpc_proxy``, those to 127.0.0.1
    too, where a proxy elsewhere finds nobody. Other addresses follow the environment, ``no_proxy`` included.

    Parameters
    ----------
    address
        ``host:port``, or any target that gRPC knows.
    """
    return [("grpc.enable_http_proxy", 0)] if is_on_this_machine(address) else []


def is_on_this_machine(address: str) -> bool:
    """Tell whether an address is of this machine: by its very name, or as one of its interfaces' numbers.

    No name is looked up.
    """
    if address.startswith(("unix:", "unix-abstract:", "vsock:")):
        return True
    hosts = [_host(part) for part in _SCHEME.sub("", address).split(",")]
    return all(_is_local(host) for host in hosts)


def _host(address: str) -> str:
    if address.startswith("["):
        return address[1:].partition("]")[0]
    # An IPv6 address without brackets has colons of its own, and then no port.
    return address if address.count(":") > 1 else address.partition(":")[0]


def _is_local(host: str) -> bool:
    name = host.lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost") or name == socket.gethostname().lower():
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None) or address
    return bool(mapped.is_loopback or mapped.is_unspecified) or _is_own(mapped)


def _is_own(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Whether an interface of this machine has the address: only then can a socket be bound to it."""
    family = socket.AF_INET if address.version == _IPV4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((str(address), 0))
    except OSError:
        return False
    return not address.is_multicast
