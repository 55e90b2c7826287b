"""Decoding in pieces gives what decoding in one go gives, whatever the bytes."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from google.protobuf.message import DecodeError

from xenolith.contract.wire import batch_to_proto, tensor_to_proto
from xenolith.crystal import CrystalBatch
from xenolith.errors import InvalidArgumentError
from xenolith.serving.calls.decoding import decode_in_pieces
from xenolith.v1 import crystal_pb2, generator_pb2, oracle_pb2

MIB = 2**20


def crystals(count: int, atoms: int) -> crystal_pb2.CrystalBatch:
    rng = np.random.default_rng(0)
    return batch_to_proto(
        CrystalBatch(
            num_atoms=np.full(count, atoms, dtype=np.int32),
            lattices=rng.normal(size=(count, 3, 3)),
            numbers=rng.integers(-3, 10**6, size=count * atoms).astype(np.int32),
            frac_coords=rng.random((count * atoms, 3)),
        )
    )


def large_messages() -> list[Any]:
    score = oracle_pb2.ScoreRequest(
        crystals=crystals(2000, 60),
        known=crystals(3000, 20),
        components=[1, 2],
        expected_settings_digest="ab",
    )
    score.settings.calculator_settings.update({f"key {number}": "x" * 50 for number in range(8000)})
    decode = generator_pb2.DecodeRequest(
        latents=tensor_to_proto(np.random.default_rng(1).normal(size=(300_000, 2))),
        num_atoms=range(100_000),
        expected_autoencoder_digest="d",
    )
    header = generator_pb2.WeightsHeader(policy_version="v")
    for number in range(20_000):
        header.tensors.add(name=f"layer.{number}.weight", shape=[number, 3])
    return [
        score,
        decode,
        oracle_pb2.ScoreStreamRequest(batch_id=7, request=score),
        generator_pb2.UpdateWeightsRequest(header=header),
        generator_pb2.UpdateWeightsRequest(chunk=generator_pb2.WeightsChunk(offset=3, data=bytes(MIB))),
        oracle_pb2.ScoreRequest(known=crystal_pb2.CrystalBatch()),
    ]


@pytest.mark.parametrize("message", large_messages(), ids=lambda message: type(message).__name__)
def test_pieces_add_up_to_the_message(message: Any) -> None:
    assert decode_in_pieces(type(message), message.SerializeToString()) == message


def test_fields_in_any_order_and_of_later_versions_are_kept() -> None:
    parts = [
        oracle_pb2.ScoreRequest(crystals=crystals(3000, 20)).SerializeToString(),
        bytes([0xFA, 0x3F, 0x03]) + b"new",  # field 1023, which this version does not know
        oracle_pb2.ScoreRequest(components=[1, 2]).SerializeToString(),
        oracle_pb2.ScoreRequest(crystals=crystals(10, 2)).SerializeToString(),
    ]
    data = b"".join(parts)
    whole = oracle_pb2.ScoreRequest.FromString(data)
    assert decode_in_pieces(oracle_pb2.ScoreRequest, data) == whole
    assert decode_in_pieces(oracle_pb2.ScoreRequest, data).SerializeToString() == whole.SerializeToString()


def test_damaged_bytes_are_refused_as_in_one_go() -> None:
    data = oracle_pb2.ScoreRequest(crystals=crystals(500, 60)).SerializeToString()
    chance = random.Random(0)  # noqa: S311
    for _ in range(200):
        damaged = bytearray(data[: chance.randrange(len(data) // 2, len(data))])
        for _ in range(chance.randrange(4)):
            damaged[chance.choice([chance.randrange(20), chance.randrange(len(damaged))])] ^= (
                chance.randrange(256)
            )
        try:
            expected = oracle_pb2.ScoreRequest.FromString(bytes(damaged))
        except DecodeError:
            with pytest.raises((DecodeError, InvalidArgumentError)):
                decode_in_pieces(oracle_pb2.ScoreRequest, bytes(damaged))
        else:
            assert decode_in_pieces(oracle_pb2.ScoreRequest, bytes(damaged)).SerializeToString() == (
                expected.SerializeToString()
            )


def test_more_numbers_or_fields_than_any_request_has_are_refused() -> None:
    many = oracle_pb2.ScoreRequest(components=[1] * (2 * MIB))
    many.crystals.num_atoms.append(1)
    with pytest.raises(InvalidArgumentError) as caught:
        decode_in_pieces(oracle_pb2.ScoreRequest, many.SerializeToString())
    assert caught.value.violations[0].field == "components"
    inside = oracle_pb2.ScoreRequest(crystals=crystal_pb2.CrystalBatch(numbers=[200] * MIB))
    with pytest.raises(InvalidArgumentError) as caught:
        decode_in_pieces(oracle_pb2.ScoreRequest, inside.SerializeToString())
    assert caught.value.violations[0].field == "crystals.numbers"
    settings = b"\x32\x00" * 600_000  # empty names of properties
    nested = b"\x1a" + bytes(
        [0x80 | len(settings) & 0x7F, 0x80 | len(settings) >> 7 & 0x7F, len(settings) >> 14]
    )
    with pytest.raises(InvalidArgumentError) as caught:
        decode_in_pieces(oracle_pb2.ScoreRequest, nested + settings)
    assert caught.value.violations[0].field == "settings"


def test_the_largest_requests_are_taken_in() -> None:
    request = oracle_pb2.ScoreRequest(crystals=crystals(400, 500), known=crystals(2_000, 100))
    request.crystals.numbers[:] = [118] * len(request.crystals.numbers)
    request.known.numbers[:] = [118] * len(request.known.numbers)
    assert decode_in_pieces(oracle_pb2.ScoreRequest, request.SerializeToString()) == request
