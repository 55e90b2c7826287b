import socket

import pytest

from xenolith.client.transport.options import Options, channel_options
from xenolith.contract.proxies import is_on_this_machine, proxy_arguments


@pytest.mark.parametrize(
    "address",
    ["localhost:50052", "127.0.0.1:1", "127.1.2.3:50052", "[::1]:50052", "::1", "LOCALHOST:1",
     "0.0.0.0:50052", "unix:/tmp/oracle.sock",
     "dns:///localhost:50052", "ipv4:127.0.0.1:1,127.0.0.1:2", "ipv6:[::1]:50052",
     "[::ffff:127.0.0.1]:50052", f"{socket.gethostname()}:50052"],
)  # fmt: skip
def test_no_proxy_stands_before_a_service_of_this_machine(address: str) -> None:
    assert is_on_this_machine(address)
    assert ("grpc.enable_http_proxy", 0) in channel_options(Options(), address)


@pytest.mark.parametrize(
    "address",
    ["oracle:50052", "node7.cluster:50052", "10.0.0.3:50052", "localhost.example.org:50052",
     "[2001:db8::1]:1", "ipv4:127.0.0.1:1,10.0.0.3:2", "127.example.org:1", ""],
)  # fmt: skip
def test_other_addresses_follow_the_environment(address: str) -> None:
    assert not proxy_arguments(address)


def test_the_number_of_an_interface_is_this_machine() -> None:
    """A datagram socket that is connected, and sends nothing, tells by which address others see us."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no route to anywhere")
        own = probe.getsockname()[0]
    assert is_on_this_machine(f"{own}:50052")
    assert not is_on_this_machine("192.0.2.77:50052")
    assert not is_on_this_machine("224.0.0.1:50052")
