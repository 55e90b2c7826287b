"""Requests of few bytes and much work, and weights that cannot fit: refused before they cost anything."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import torch

from generator_svc.service import requests
from generator_svc.service.engine import Engine
from generator_svc.service.servicer import GeneratorService
from generator_svc.storage.bundle import load_bundle
from xenolith.bundle import Bundle
from xenolith.contract.chunks import WeightsReceiver, send_weights
from xenolith.contract.errors import error_from_call
from xenolith.contract.wire import tensor_to_proto
from xenolith.errors import CancelledError, XenolithError
from xenolith.serving import ServingSettings, threaded_server
from xenolith.v1 import crystal_pb2, generator_pb2, generator_pb2_grpc

FLOAT = crystal_pb2.DTYPE_FLOAT32
Stub = Any


@pytest.fixture
def engine(tiny_bundle: Bundle) -> Engine:
    return Engine(load_bundle(tiny_bundle), torch.device("cpu"))


@pytest.fixture
def stub(engine: Engine) -> Iterator[Stub]:
    with (
        threaded_server([GeneratorService(engine)], ServingSettings(grace_s=1.0)) as running,
        grpc.insecure_channel(running.address, options=[("grpc.max_send_message_length", -1)]) as channel,
    ):
        yield generator_pb2_grpc.GeneratorServiceStub(channel)


def refusal(call: Any, asked: Any) -> XenolithError:
    with pytest.raises(grpc.RpcError) as caught:
        answer = call(asked, timeout=60)
        if hasattr(answer, "__next__"):
            list(answer)
    error = error_from_call(caught.value)
    assert error.code is grpc.StatusCode.INVALID_ARGUMENT, error
    return error


def described(stub: Stub) -> Any:
    return stub.Describe(generator_pb2.GeneratorServiceDescribeRequest(), timeout=30)


def header(stub: Stub, **fields: Any) -> generator_pb2.WeightsHeader:
    known = described(stub)
    fields = {"kind": generator_pb2.WEIGHTS_KIND_FULL, "policy_version": "mine/1"} | fields
    return generator_pb2.WeightsHeader(bundle_digest=known.bundle_digest, **fields)


def update(*parts: Any) -> Iterator[generator_pb2.UpdateWeightsRequest]:
    names = {"WeightsHeader": "header", "WeightsChunk": "chunk", "WeightsTrailer": "trailer"}
    for part in parts:
        yield generator_pb2.UpdateWeightsRequest(**{names[type(part).__name__]: part})


def test_limits_are_described(stub: Stub) -> None:
    assert dict(described(stub).limits) == requests.LIMITS


def test_hundreds_of_thousands_of_tensors_are_counted_and_not_read(stub: Stub) -> None:
    """B9."""
    many = header(stub, tensors=[{"name": "w", "dtype": FLOAT, "shape": [1]}] * 200_000, total_bytes=800_000)
    error = refusal(stub.UpdateWeights, update(many))
    assert error.violations[0].field == "header.tensors"
    assert "200000 entries" in str(error)


def test_more_weights_than_the_denoiser_has_are_refused_by_their_header(stub: Stub) -> None:
    """B10: the chunks, of which there would be 1.5 GB, are not waited for."""
    size = 1_500_000_000
    asked = header(stub, tensors=[{"name": "w", "dtype": FLOAT, "shape": [size // 4]}], total_bytes=size)
    sent: list[int] = []

    def junk() -> Iterator[generator_pb2.UpdateWeightsRequest]:
        yield from update(asked)
        for offset in range(0, size, 2**20):
            sent.append(offset)
            yield from update(generator_pb2.WeightsChunk(offset=offset, data=bytes(2**20)))

    assert refusal(stub.UpdateWeights, junk()).violations[0].field == "header.total_bytes"
    assert len(sent) < 1_000


def test_decoding_and_encoding_have_a_ceiling(stub: Stub) -> None:
    """B14."""
    most = requests.MAX_BATCH
    decode = generator_pb2.DecodeRequest(
        num_atoms=[1] * (most + 1),
        latents=tensor_to_proto(np.zeros((1, 1))),
        expected_autoencoder_digest=described(stub).autoencoder_digest,
    )
    assert refusal(stub.Decode, decode).violations[0].field == "num_atoms"
    encode = generator_pb2.EncodeRequest(crystals=crystal_pb2.CrystalBatch(num_atoms=[1] * (most + 1)))
    assert refusal(stub.Encode, encode).violations[0].field == "crystals.num_atoms"


def test_decoding_can_be_cancelled_between_portions_and_they_change_nothing(engine: Engine) -> None:
    """B14."""
    counts = np.full(600, 2)
    latents = np.random.default_rng(0).normal(size=(1200, engine.loaded.autoencoder.config.latent_dim))
    asked = iter([False, True])
    plan = requests.cleanup_plan(generator_pb2.Cleanup(), can_relax=False)
    with pytest.raises(CancelledError):
        engine.decode(latents, counts, None, plan, lambda: next(asked))
    whole = engine.decode(latents, counts, None, plan).crystals
    alone = engine.decode(latents[1000:1002], counts[:1], None, plan).crystals
    assert len(whole) == 600
    np.testing.assert_allclose(whole[500].lattice, alone[0].lattice, atol=1e-3)


@pytest.mark.parametrize("shape", [[0, 2**62], [2**62, 2**62], [-1], [1] * 100])
def test_shapes_that_no_array_has_are_refused(stub: Stub, shape: list[int]) -> None:
    """B16."""
    tensor = crystal_pb2.Tensor(dtype=FLOAT, shape=shape)
    decode = generator_pb2.DecodeRequest(
        latents=tensor, expected_autoencoder_digest=described(stub).autoencoder_digest
    )
    assert refusal(stub.Decode, decode).violations[0].field == "latents.shape"
    odd = header(stub, tensors=[{"name": "w", "dtype": FLOAT, "shape": shape}])
    assert refusal(stub.UpdateWeights, update(odd)).violations[0].field == "header.tensors"


def test_json_nested_a_hundred_thousand_deep_is_refused(stub: Stub) -> None:
    """B16."""
    deep = header(stub, kind=generator_pb2.WEIGHTS_KIND_ADAPTER, base_policy_version="base")
    deep.config_json = "[" * 30_000
    assert refusal(stub.UpdateWeights, update(deep)).violations[0].field == "header.config_json"


@pytest.mark.parametrize("value", [3e38, 1e300])
def test_numbers_with_which_nothing_can_be_computed_are_refused(stub: Stub, value: float) -> None:
    """B16."""
    receiver = WeightsReceiver()
    for message in stub.GetWeights(generator_pb2.GetWeightsRequest(), timeout=60):
        receiver.add(message)
    tensors = {name: np.array(array, dtype=np.float64) for name, array in receiver.finish().tensors.items()}
    tensors[next(iter(tensors))][:] = value
    asked = send_weights(generator_pb2.UpdateWeightsRequest, header(stub), tensors)
    assert refusal(stub.UpdateWeights, asked).violations[0].field == "chunk.data"
    width = described(stub).latent_dim
    decode = generator_pb2.DecodeRequest(
        num_atoms=[1],
        latents=tensor_to_proto(np.full((1, width), value)),
        expected_autoencoder_digest=described(stub).autoencoder_digest,
    )
    assert refusal(stub.Decode, decode).violations[0].field == "latents"


def test_nobody_replaces_weights_under_the_version_of_anothers_run(engine: Engine, tmp_path: Path) -> None:
    """B3: runs name their versions by step and digest, and a version that was pushed stays its pusher's."""
    tokens = {name: f"{name}-0123456789abcdef" for name in ("trainer", "stranger", "operator")}
    roles = {"trainer": "train", "stranger": "train", "operator": "admin"}
    file = tmp_path / "tokens.toml"
    file.write_text(
        "".join(f'[{name}]\ntoken = "{token}"\nroles = ["{roles[name]}"]\n' for name, token in tokens.items())
    )
    weights = {name: value.numpy() for name, value in engine.loaded.denoiser.state_dict().items()}
    forged = {name: np.zeros_like(value) for name, value in weights.items()}
    with (
        threaded_server([GeneratorService(engine)], ServingSettings(grace_s=1.0, tokens=file)) as running,
        grpc.insecure_channel(running.address) as channel,
    ):
        stub = generator_pb2_grpc.GeneratorServiceStub(channel)

        def push(who: str, version: str, tensors: dict[str, Any]) -> str:
            metadata = (("authorization", f"Bearer {tokens[who]}"),)
            known = stub.Describe(
                generator_pb2.GeneratorServiceDescribeRequest(), metadata=metadata, timeout=30
            )
            asked = generator_pb2.WeightsHeader(
                kind=generator_pb2.WEIGHTS_KIND_FULL,
                policy_version=version,
                bundle_digest=known.bundle_digest,
            )
            parts = send_weights(generator_pb2.UpdateWeightsRequest, asked, tensors)
            return str(stub.UpdateWeights(parts, metadata=metadata, timeout=60).policy_version)

        assert push("trainer", "run/1:abc", weights) == "run/1:abc"
        assert push("stranger", "mine/1", forged) == "mine/1"
        with pytest.raises(grpc.RpcError) as caught:
            push("stranger", "run/1:abc", forged)
        assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED
        assert "pushed by trainer" in str(caught.value.details())
        assert push("trainer", "run/1:abc", weights) == "run/1:abc"
        assert push("operator", "run/1:abc", weights) == "run/1:abc"


def test_a_long_sampling_lets_a_small_one_through_and_neither_changes(stub: Stub) -> None:
    """B15: whatever a call computes, others have their turn within it."""

    def sampled(**fields: Any) -> Iterator[generator_pb2.SampleResponse]:
        asked = generator_pb2.SampleRequest(
            seed=3, sampler=generator_pb2.SamplerSettings(steps=400), **fields
        )
        return iter(stub.Sample(asked, timeout=120))

    small = [part.latents.data for part in sampled(num_samples=1)]
    first = next(sampled(num_samples=64)).latents.data
    long = sampled(num_samples=10_000)
    assert next(long).latents.data == next(sampled(num_samples=10_000)).latents.data
    assert [part.latents.data for part in sampled(num_samples=1)] == small
    assert next(sampled(num_samples=64)).latents.data == first
