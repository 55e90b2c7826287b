"""What gRPC says, as recorded, and what is made of it; live connections are in the clients' tests."""

import pytest

from xenolith.contract.unreachable import unreachable

BACKENDS = "connections to all backends failing; last error: "


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (
            "errors resolving oracle:1: [field:hostname lookup error:address lookup failed for oracle:1]",
            "no machine is known by the name in oracle:1",
        ),
        ("DNS resolution failed for oracle:1: C-ares status is not ARES_SUCCESS", "no machine is known"),
        ("failed to connect to all addresses; last error: ... Connection refused", "no oracle answers at"),
        (BACKENDS + "UNKNOWN: ipv4:1.2.3.4:1: connect: No route to host (113)", "no oracle answers at"),
        (BACKENDS + "ipv4:1.2.3.4:1: backend unhealthy", "does not serve: wait until it has started"),
        (BACKENDS + "UNAVAILABLE: ipv4:1.2.3.4:1: Socket closed", "takes no connection like this one"),
        (
            BACKENDS
            + "UNKNOWN: ipv4:1.2.3.4:1: connection attempt timed out before receiving SETTINGS frame",
            "gives no sign of life",
        ),
        ("Stream removed (ping timeout)", "gives no sign of life"),
        ("Socket closed", "ended while Score was at work"),
        ("recvmsg:Connection reset by peer", "ended while Score was at work"),
    ],
)
def test_every_way_of_failing_has_words_of_its_own(said: str, words: str) -> None:
    error = unreachable(said, service="oracle", address="oracle:1", method="Score")
    assert error is not None
    assert words in str(error)
    assert "oracle:1" in error.fault


def test_what_the_transport_did_not_say_is_left_alone() -> None:
    assert unreachable("the calculator's processes do not work", service="oracle", address="oracle:1") is None
