"""A connection that fails, in words: which service, at which address, and what to do."""

import re
from typing import NamedTuple

from xenolith.errors import UnreachableError

__all__ = ["unreachable"]


class _Case(NamedTuple):
    said: re.Pattern[str]
    fault: str
    remedy: str


def _case(said: str, fault: str, remedy: str) -> _Case:
    return _Case(re.compile(said, re.IGNORECASE), fault, remedy)


_ELSEWHERE = "give the address of another (--{service} host:port)"
# Tried in this order: what a failing connection says last holds the more special words, too.
_CASES = (
    _case(
        r"errors resolving|lookup (error|failed)|DNS resolution failed",
        "no machine is known by the name in {address}, the {service}'s address",
        "check it, or " + _ELSEWHERE,
    ),
    _case(
        r"WRONG_VERSION_NUMBER",
        "the {service} at {address} speaks plain text, not TLS",
        "connect without TLS, or have it serve TLS",
    ),
    _case(
        r"CERTIFICATE_VERIFY_FAILED|certificate verify failed|hostname.* mismatch",
        "the certificate of the {service} at {address} is not trusted",
        "give the authority that signed it (--tls-ca FILE), and a host name that it is for",
    ),
    _case(
        r"handshake failed|SSL_ERROR",
        "TLS with the {service} at {address} fails",
        "check the certificates of both sides: {said}",
    ),
    _case(
        r"http1|parsing HTTP/2",
        "what answers at {address} is no {service}",
        "it does not speak gRPC; " + _ELSEWHERE,
    ),
    _case(
        r"backend unhealthy",
        "the {service} at {address} does not serve",
        "wait until it has started, or see its log",
    ),
    _case(
        r"ping timeout|keepalive|timed out before receiving SETTINGS",
        "the {service} at {address} gives no sign of life",
        "it hangs, or something in between does: see its log, or end it and start it again",
    ),
    _case(
        r"before receiving SETTINGS|(last error|all addresses).*(closed|reset|EOF)",
        "the {service} at {address} takes no connection like this one",
        "it may want TLS (--tls-ca FILE), or a client's certificate",
    ),
    _case(
        r"refused|failed to connect|no route|unreachable|timed? ?out",
        "no {service} answers at {address}",
        "start it with `xenolith up`, or " + _ELSEWHERE,
    ),
    _case(
        r"socket closed|connection reset|broken pipe|GOAWAY|cancelling all calls|EOF",
        "the {service} at {address} ended while {method} was at work",
        "start it again; its log says why it ended",
    ),
)


def unreachable(said: str, *, service: str, address: str, method: str = "") -> UnreachableError | None:
    """Return the error for a connection that failed, None where the text is not the transport's.

    Parameters
    ----------
    said
        What gRPC says, such as ``failed to connect to all addresses; last error: ... Connection refused``.
    service
        Which service was called: ``generator``, ``oracle`` or ``trainer``.
    address
        Its ``host:port``.
    method
        What was called of it, such as ``Score``.
    """
    for case in _CASES:
        if case.said.search(said):
            words = {"service": service, "address": address, "method": method or "a call", "said": said}
            return UnreachableError(
                case.fault.format(**words), case.remedy.format(**words), service=service, address=address
            )
    return None
