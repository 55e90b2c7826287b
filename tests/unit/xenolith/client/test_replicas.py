import asyncio

import pytest

from xenolith.client.transport.endpoint import Endpoint
from xenolith.client.transport.options import Options, channel_options
from xenolith.client.transport.replicas import Replica, replicas


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1:50051", "localhost:50051", "dns:///localhost:50051", "unix:/tmp/generator.sock",
     "[::1]:50051", "a-name-that-nobody-has.invalid:50051"],
)  # fmt: skip
def test_an_address_of_one_server_stays_as_it_is(address: str) -> None:
    assert asyncio.run(replicas(address)) == [Replica(address=address)]


def test_a_list_of_addresses_is_as_many_replicas() -> None:
    found = asyncio.run(replicas("ipv4:127.0.0.1:1,127.0.0.2:2"))
    assert [replica.address for replica in found] == ["ipv4:127.0.0.1:1", "ipv4:127.0.0.2:2"]


def test_a_replica_that_was_looked_up_is_held_to_the_name() -> None:
    replica = Replica(address="ipv4:10.0.0.2:50051", name="generator")
    options = replica.options(Options(token="t" * 16))
    assert options.token == "t" * 16
    assert ("grpc.ssl_target_name_override", "generator") in channel_options(options, replica.address)
    assert replica.endpoint(Endpoint(name="generator", address="generator:50051")).address == replica.address
