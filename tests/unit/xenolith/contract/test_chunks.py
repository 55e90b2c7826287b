from typing import Any

import numpy as np
import pytest

from xenolith.contract.chunks import WeightsReceiver, send_weights
from xenolith.errors import DataLossError, InvalidArgumentError
from xenolith.v1 import generator_pb2

Update = generator_pb2.UpdateWeightsRequest


def tensors() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {
        "first": rng.normal(size=(30, 7)).astype(np.float32),
        "scalar": np.array(2.5),
        "empty": np.zeros((0, 4), np.float16),
        "transposed": rng.integers(0, 9, size=(5, 6)).T,
    }


def messages(chunk_bytes: int = 100) -> list[Any]:
    return list(send_weights(Update, generator_pb2.WeightsHeader(policy_version="p"), tensors(), chunk_bytes))


def receive(stream: list[Any]) -> Any:
    receiver = WeightsReceiver(max_bytes=10_000)
    for message in stream:
        receiver.add(message)
    return receiver.finish()


@pytest.mark.parametrize("chunk_bytes", [1, 100, 2**20])
def test_tensors_arrive_as_sent(chunk_bytes: int) -> None:
    received = receive(messages(chunk_bytes))
    assert received.header.policy_version == "p"
    assert list(received.tensors) == list(tensors())
    for name, tensor in tensors().items():
        np.testing.assert_array_equal(received.tensors[name], tensor)
        assert received.tensors[name].dtype == tensor.dtype


def test_chunks_have_the_size_asked_for() -> None:
    sizes = [len(message.chunk.data) for message in messages()[1:-1]]
    assert set(sizes[:-1]) == {100}
    assert sum(sizes) == sum(tensor.nbytes for tensor in tensors().values())


def damaged(stream: list[Any], which: int, **change: Any) -> list[Any]:
    part = getattr(stream[which], stream[which].WhichOneof("part"))
    for name, value in change.items():
        setattr(part, name, value)
    return stream


def test_a_flipped_bit_is_found() -> None:
    stream = messages()
    data = bytearray(stream[2].chunk.data)
    data[5] ^= 1
    with pytest.raises(DataLossError, match="send them again"):
        receive(damaged(stream, 2, data=bytes(data)))


@pytest.mark.parametrize(
    ("stream", "problem"),
    [
        (messages()[1:], "header must be the first"),
        (messages()[:-1], "ended early"),
        ([], "ended early"),
        (messages()[:3] + messages()[4:], "chunks come in order"),
        (messages()[:1] + messages(), "only the first"),
        ([*messages(), messages()[1]], "followed by another"),
        ([*messages()[:3], messages()[-1]], "announced were"),
        ([Update()], "header must be the first"),
        ([messages()[0], Update()], "part is empty"),
        (damaged(messages(), 0, total_bytes=5), "the tensors need"),
        (damaged(messages(), -2, data=b"x" * 200), "more bytes than"),
    ],
)
def test_a_stream_out_of_order_is_refused(stream: list[Any], problem: str) -> None:
    with pytest.raises(InvalidArgumentError, match=problem):
        receive(stream)


def test_a_header_is_checked_before_its_bytes_come() -> None:
    header = messages()[0]
    with pytest.raises(InvalidArgumentError, match="more than the 10 accepted"):
        WeightsReceiver(max_bytes=10).add(header)
    twice = Update(header=header.header)
    twice.header.tensors.append(twice.header.tensors[0])
    with pytest.raises(InvalidArgumentError, match="twice"):
        WeightsReceiver().add(twice)
    unknown = Update(header=generator_pb2.WeightsHeader())
    unknown.header.tensors.add(name="x", dtype=99)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError, match="unknown element type"):
        WeightsReceiver().add(unknown)
