"""GeneratorService over a real connection."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

import grpc
import numpy as np
import pytest
import torch

from generator_svc.service.engine import Engine
from generator_svc.service.servicer import GeneratorService
from generator_svc.storage.bundle import load_bundle
from tests.tiny_bundle import crystal_table
from xenolith.bundle import Bundle
from xenolith.contract.chunks import ReceivedWeights, WeightsReceiver, send_weights
from xenolith.contract.wire import batch_from_proto, batch_to_proto, tensor_from_proto, tensor_to_proto
from xenolith.crystal import Crystal, CrystalBatch
from xenolith.serving import running_server
from xenolith.v1 import crystal_pb2, generator_pb2, generator_pb2_grpc

T = TypeVar("T")
Stub = generator_pb2_grpc.GeneratorServiceStub


@pytest.fixture
def call(tiny_bundle: Bundle) -> Callable[[Callable[[Stub], Awaitable[T]]], T]:
    """Run a coroutine function against a fresh server of the tiny bundle."""

    def run(scenario: Callable[[Stub], Awaitable[T]]) -> T:
        async def main() -> T:
            service = GeneratorService(Engine(load_bundle(tiny_bundle), torch.device("cpu")))
            async with (
                running_server([service]) as server,
                grpc.aio.insecure_channel(server.address) as channel,
            ):
                return await scenario(generator_pb2_grpc.GeneratorServiceStub(channel))

        return asyncio.run(main())

    return run


async def collect(stub: Stub, **fields: object) -> list[generator_pb2.SampleResponse]:
    return [message async for message in stub.Sample(generator_pb2.SampleRequest(**fields))]


async def weights_of(stub: Stub, version: str = "") -> ReceivedWeights:
    receiver = WeightsReceiver()
    async for message in stub.GetWeights(generator_pb2.GetWeightsRequest(expected_policy_version=version)):
        receiver.add(message)
    return receiver.finish()


async def refusal(call: Awaitable[object]) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value


def by_index(messages: Iterable[generator_pb2.SampleResponse]) -> dict[int, Crystal]:
    return {
        index: crystal
        for message in messages
        for index, crystal in zip(message.sample_indices, batch_from_proto(message.crystals), strict=True)
    }


FAST = generator_pb2.SamplerSettings(steps=4)


def test_samples_have_the_asked_atom_counts_and_valid_cells(call) -> None:
    async def scenario(stub: Stub) -> None:
        counts = [3, 1, 6, 2, 3]
        messages = await collect(stub, num_atoms=counts, seed=1, sampler=FAST, max_samples_per_message=2)
        assert len(messages) == 3
        crystals = by_index(messages)
        assert [crystals[i].num_atoms for i in range(5)] == counts
        assert all(c.volume > 0 for c in crystals.values())

    call(scenario)


def test_a_sample_depends_on_its_seed_and_not_on_its_batch(call) -> None:
    async def scenario(stub: Stub) -> None:
        batch = by_index(await collect(stub, num_atoms=[3, 5, 4], sample_seeds=[7, 8, 9], sampler=FAST))
        alone = by_index(await collect(stub, num_atoms=[5], sample_seeds=[8], sampler=FAST))
        np.testing.assert_allclose(batch[1].lattice, alone[0].lattice, atol=1e-4)

    call(scenario)


def test_prior_draws_are_reproducible_and_seed_zero_counts(call) -> None:
    async def scenario(stub: Stub) -> None:
        first = by_index(await collect(stub, num_samples=8, seed=0, sampler=FAST))
        again = by_index(await collect(stub, num_samples=8, seed=0, sampler=FAST))
        other = by_index(await collect(stub, num_samples=8, seed=1, sampler=FAST))
        assert [first[i].num_atoms for i in range(8)] == [again[i].num_atoms for i in range(8)]
        np.testing.assert_array_equal(first[0].lattice, again[0].lattice)
        assert any(first[i] != other[i] for i in range(8))

    call(scenario)


def test_trajectory_and_embeddings_are_complete(call) -> None:
    async def scenario(stub: Stub) -> None:
        (message,) = await collect(
            stub, num_atoms=[2, 4], sampler=FAST, return_trajectory=True, return_embeddings=True
        )
        states = tensor_from_proto(message.trajectory.latents)
        densities = tensor_from_proto(message.trajectory.old_log_probs)
        assert states.shape == (5, 6, 8)
        assert densities.shape == (2, 4)
        assert np.isfinite(densities[:, :-1]).all()
        assert np.isnan(densities[:, -1]).all()
        np.testing.assert_array_equal(states[-1], tensor_from_proto(message.latents))
        assert list(message.trajectory.timesteps) == sorted(message.trajectory.timesteps, reverse=True)
        assert tensor_from_proto(message.embeddings).shape == (2, 16)

    call(scenario)


def test_decoding_the_latents_of_a_sample_gives_the_sample(call) -> None:
    async def scenario(stub: Stub) -> None:
        (message,) = await collect(stub, num_atoms=[2, 4], sampler=FAST)
        response = await stub.Decode(
            generator_pb2.DecodeRequest(
                num_atoms=[2, 4],
                latents=message.latents,
                expected_autoencoder_digest=message.provenance.autoencoder_digest,
            )
        )
        assert batch_from_proto(response.crystals) == batch_from_proto(message.crystals)

    call(scenario)


def test_decoding_nothing_gives_nothing(call) -> None:
    async def scenario(stub: Stub) -> None:
        described = await stub.Describe(generator_pb2.GeneratorServiceDescribeRequest())
        response = await stub.Decode(
            generator_pb2.DecodeRequest(
                latents=tensor_to_proto(np.empty((0, described.latent_dim), dtype=np.float32)),
                expected_autoencoder_digest=described.autoencoder_digest,
            )
        )
        assert len(batch_from_proto(response.crystals)) == 0

    call(scenario)


def test_bad_crystals_get_their_own_status_and_spoil_no_neighbour(call) -> None:
    table = crystal_table(size=2, seed=5)
    good = Crystal(
        lattice=table.lattices[0],
        numbers=table.numbers[: table.num_atoms[0]],
        frac_coords=table.frac_coords[: table.num_atoms[0]],
    )
    bad = [
        Crystal(lattice=np.full((3, 3), np.nan), numbers=[8], frac_coords=np.zeros((1, 3))),
        Crystal(lattice=np.zeros((3, 3)), numbers=[8], frac_coords=np.zeros((1, 3))),
        Crystal(lattice=np.eye(3) * 5, numbers=[119], frac_coords=np.zeros((1, 3))),
        Crystal(lattice=np.eye(3) * 5, numbers=[8] * 7, frac_coords=np.zeros((7, 3))),
        Crystal(lattice=np.eye(3) * 5, numbers=[], frac_coords=np.zeros((0, 3))),
    ]

    async def scenario(stub: Stub) -> None:
        async def encode(crystals: list[Crystal]) -> generator_pb2.EncodeResponse:
            message = batch_to_proto(CrystalBatch.from_crystals(crystals))
            return await stub.Encode(generator_pb2.EncodeRequest(crystals=message, return_embeddings=True))

        mixed, alone = await encode([bad[0], good, *bad[1:]]), await encode([good])
        assert list(mixed.statuses) == [
            crystal_pb2.STRUCTURE_STATUS_NONFINITE,
            crystal_pb2.STRUCTURE_STATUS_OK,
            crystal_pb2.STRUCTURE_STATUS_BAD_CELL,
            crystal_pb2.STRUCTURE_STATUS_UNSUPPORTED_ELEMENT,
            crystal_pb2.STRUCTURE_STATUS_TOO_LARGE,
            crystal_pb2.STRUCTURE_STATUS_MALFORMED,
        ]
        rows = tensor_from_proto(mixed.latents)[1 : 1 + good.num_atoms]
        np.testing.assert_allclose(rows, tensor_from_proto(alone.latents), atol=1e-5)
        assert all(mixed.messages[i] for i in (0, 2, 3, 4, 5))
        assert not mixed.messages[1]

    call(scenario)


def test_weights_go_round_and_swap_the_policy(call) -> None:
    async def scenario(stub: Stub) -> None:
        weights = await weights_of(stub)
        base = weights.header.policy_version
        changed = {name: array + np.float32(0.05) for name, array in weights.tensors.items()}
        header = generator_pb2.WeightsHeader(
            kind=generator_pb2.WEIGHTS_KIND_FULL,
            policy_version="run/1",
            expected_policy_version=base,
            bundle_digest=weights.header.bundle_digest,
        )
        before = by_index(await collect(stub, num_atoms=[3], seed=1, sampler=FAST))
        answer = await stub.UpdateWeights(send_weights(generator_pb2.UpdateWeightsRequest, header, changed))
        assert (answer.policy_version, answer.previous_policy_version) == ("run/1", base)
        (message,) = await collect(stub, num_atoms=[3], seed=1, sampler=FAST)
        assert message.provenance.policy_version == "run/1"
        assert by_index([message])[0] != before[0]
        read = await weights_of(stub)
        for name, array in changed.items():
            np.testing.assert_array_equal(read.tensors[name], array)
        original = await weights_of(stub, "base")
        assert original.header.policy_version == base
        for name, array in weights.tensors.items():
            np.testing.assert_array_equal(original.tensors[name], array)

    call(scenario)


def test_an_update_that_does_not_verify_changes_nothing(call) -> None:
    async def scenario(stub: Stub) -> None:
        weights = await weights_of(stub)
        header = generator_pb2.WeightsHeader(
            kind=generator_pb2.WEIGHTS_KIND_FULL,
            policy_version="run/1",
            bundle_digest=weights.header.bundle_digest,
        )

        def update(arrays: dict[str, np.ndarray], drop: int = 0) -> Awaitable[object]:
            messages = list(send_weights(generator_pb2.UpdateWeightsRequest, header, arrays))
            return stub.UpdateWeights(iter(messages[: len(messages) - drop]))

        missing = {k: v for k, v in weights.tensors.items() if k != "out.bias"}
        infinite = weights.tensors | {"out.bias": np.full(8, np.inf, dtype=np.float32)}
        for attempt in (update(weights.tensors, drop=1), update(missing), update(infinite)):
            assert (await refusal(attempt)).code() == grpc.StatusCode.INVALID_ARGUMENT
        corrupt = list(send_weights(generator_pb2.UpdateWeightsRequest, header, weights.tensors))
        corrupt[-1].trailer.sha256 = "0" * 64
        assert (await refusal(stub.UpdateWeights(iter(corrupt)))).code() == grpc.StatusCode.DATA_LOSS
        description = await stub.Describe(generator_pb2.GeneratorServiceDescribeRequest())
        assert description.policy_version == weights.header.policy_version

    call(scenario)


def test_what_does_not_match_is_refused_with_both_names(call) -> None:
    async def scenario(stub: Stub) -> None:
        error = await refusal(collect(stub, num_atoms=[2], expected_policy_version="run/9"))
        assert error.code() == grpc.StatusCode.FAILED_PRECONDITION
        assert "run/9" in error.details()
        assert "base:" in error.details()
        error = await refusal(collect(stub, num_atoms=[2], expected_bundle_digest="abc"))
        assert error.code() == grpc.StatusCode.FAILED_PRECONDITION
        latents = tensor_to_proto(np.zeros((2, 8), dtype=np.float32))
        request = generator_pb2.DecodeRequest(
            num_atoms=[2], latents=latents, expected_autoencoder_digest="abc"
        )
        assert (await refusal(stub.Decode(request))).code() == grpc.StatusCode.FAILED_PRECONDITION

    call(scenario)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({}, "num_samples"),
        ({"num_atoms": [3, 7]}, "num_atoms[1]"),
        ({"num_atoms": [3], "num_samples": 2}, "num_samples"),
        ({"num_atoms": [3], "sample_seeds": [1, 2]}, "sample_seeds"),
        ({"num_atoms": [3], "sampler": generator_pb2.SamplerSettings(steps=0)}, "sampler.steps"),
        ({"num_atoms": [3], "sampler": generator_pb2.SamplerSettings(eta=2)}, "sampler.eta"),
        ({"num_atoms": [3], "conditions": [generator_pb2.Condition(chemical_system=[8])]}, "conditions"),
    ],
)
def test_bad_requests_name_the_field(call, fields: dict[str, object], named: str) -> None:
    async def scenario(stub: Stub) -> None:
        error = await refusal(collect(stub, **fields))
        assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert named in error.details()

    call(scenario)


def test_symmetrised_samples_say_so_and_keep_their_latents(call):
    async def scenario(stub):
        plain = await collect(stub, num_atoms=[2, 4], seed=3)
        clean = await collect(stub, num_atoms=[2, 4], seed=3, cleanup={"symmetrize_tolerance": 0.3})
        return plain, clean

    plain, clean = call(scenario)
    assert [list(part.provenance.cleanup) for part in clean] == [["symmetrize(0.3)"]] * len(clean)
    assert not any(part.provenance.cleanup for part in plain)
    assert [part.latents.data for part in plain] == [part.latents.data for part in clean]
    assert [part.crystals.numbers for part in plain] == [part.crystals.numbers for part in clean]


@pytest.mark.parametrize(
    ("cleanup", "code", "text"),
    [
        ({"symmetrize_tolerance": 0.0}, grpc.StatusCode.INVALID_ARGUMENT, "cleanup.symmetrize_tolerance"),
        ({"relax_steps": 100_000}, grpc.StatusCode.INVALID_ARGUMENT, "cleanup.relax_steps"),
        ({"relax_steps": 5}, grpc.StatusCode.FAILED_PRECONDITION, "--cleanup-oracle"),
    ],
)
def test_clean_up_that_cannot_be_done_is_refused(call, cleanup, code, text):
    async def scenario(stub):
        return await refusal(collect(stub, num_samples=1, cleanup=cleanup))

    error = call(scenario)
    assert error.code() == code
    assert text in error.details()
