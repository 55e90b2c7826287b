"""Conditions over a real connection: what is asked for comes out, what was not learnt is refused by name."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import numpy as np
import pytest
import torch

from generator_svc.conditioning import wanted_conditions
from generator_svc.diffusion.sampler import SamplerSettings, log_density, transition
from generator_svc.networks.conditions import ConditionsConfig, ScalarCondition
from generator_svc.networks.ragged import Ragged
from generator_svc.service.engine import Engine
from generator_svc.service.servicer import GeneratorService
from generator_svc.storage.bundle import load_bundle
from tests.tiny_bundle import make_tiny_bundle
from xenolith.bundle import Bundle
from xenolith.client import AsyncClient, condition
from xenolith.errors import InvalidArgumentError
from xenolith.serving import running_server
from xenolith.v1 import generator_pb2

T = TypeVar("T")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Tiny networks that hear every kind of condition."""
    learnt = ConditionsConfig(
        composition=True,
        chemical_system=True,
        scalars=(ScalarCondition(name="band_gap", unit="eV", mean=1.0, std=2.0),),
    )
    return make_tiny_bundle(tmp_path_factory.mktemp("bundles") / "conditional", conditions=learnt)


@pytest.fixture
def call(bundle: Bundle) -> Callable[[Callable[[AsyncClient], Awaitable[T]]], T]:
    """Run a coroutine function with a client of a fresh server."""

    def run(scenario: Callable[[AsyncClient], Awaitable[T]]) -> T:
        async def main() -> T:
            service = GeneratorService(Engine(load_bundle(bundle), torch.device("cpu")))
            async with (
                running_server([service]) as server,
                AsyncClient.connect(generator=server.address) as client,
            ):
                return await scenario(client)

        return asyncio.run(main())

    return run


def test_a_composition_comes_out_exactly_in_cells_that_hold_it(call) -> None:
    async def scenario(client: AsyncClient) -> None:
        asked = condition(composition="MgO")
        samples = await client.generator.sample(n=24, conditions=asked, steps=3, guidance_scale=2.0)
        assert {crystal.formula for crystal in samples} == {"MgO"}
        assert {crystal.num_atoms for crystal in samples} == {2, 4, 6}
        assert list(samples.provenance.cleanup) == ["assign_elements"]
        again = await client.generator.sample(n=24, conditions=asked, steps=3, guidance_scale=2.0)
        assert samples.crystals == again.crystals

    call(scenario)


def test_a_chemical_system_holds_for_every_atom(call) -> None:
    async def scenario(client: AsyncClient) -> None:
        samples = await client.generator.sample(n=24, conditions=condition(chemical_system="Na-Cl"), steps=3)
        assert set(samples.crystals.numbers.tolist()) <= {11, 17}

    call(scenario)


def test_each_sample_has_its_own_condition_and_does_not_see_its_batch(call) -> None:
    async def scenario(client: AsyncClient) -> None:
        asked = [
            condition(composition="NaCl"),
            condition(),
            condition(properties={"band_gap": 4.0}),
            condition(composition="SiO2"),
        ]
        how = {"steps": 4, "guidance_scale": 3.0}
        together = await client.generator.sample(
            num_atoms=[4, 4, 4, 6], conditions=asked, sample_seeds=[1, 2, 2, 3], **how
        )
        assert [together[0].formula, together[3].formula] == ["NaCl", "SiO2"]
        assert not np.allclose(together[1].lattice, together[2].lattice, atol=1e-4)
        alone = await client.generator.sample(num_atoms=[4], conditions=asked[:1], sample_seeds=[1], **how)
        np.testing.assert_allclose(alone[0].lattice, together[0].lattice, atol=1e-4)
        plain = await client.generator.sample(num_atoms=[4], sample_seeds=[2], steps=4)
        np.testing.assert_allclose(plain[0].lattice, together[1].lattice, atol=1e-4)

    call(scenario)


def test_densities_of_a_guided_trajectory_are_recomputed_exactly(call, bundle: Bundle) -> None:
    async def scenario(client: AsyncClient) -> None:
        asked = [condition(composition="NaCl"), condition(), condition(properties={"band_gap": 4.0})]
        samples = await client.generator.sample(
            num_atoms=[4, 3, 4], conditions=asked, steps=4, guidance_scale=2.0, return_trajectory=True
        )
        way, denoiser = samples.trajectory, load_bundle(bundle).denoiser
        ragged = Ragged(torch.tensor([4, 3, 4]))
        wanted = wanted_conditions(asked, [4, 3, 4], denoiser.config.conditions)
        settings = SamplerSettings(steps=4, guidance_scale=2.0)
        plain = SamplerSettings(steps=4)
        for step in range(3):
            before, after = (torch.from_numpy(way.latents[index].copy()) for index in (step, step + 1))
            index = torch.full((3,), step)
            policy = transition(denoiser, before, index, ragged, settings, wanted)
            density = log_density(after, policy, ragged).numpy()
            np.testing.assert_allclose(density, way.old_log_probs[:, step], atol=1e-5)
            unguided = log_density(after, transition(denoiser, before, index, ragged, plain, wanted), ragged)
            assert not np.allclose(unguided.numpy()[[0, 2]], density[[0, 2]], atol=1e-3)

    call(scenario)


def test_describe_says_what_can_be_asked_for(call) -> None:
    async def scenario(client: AsyncClient) -> None:
        answer = await client.generator.describe()
        assert list(answer.condition_kinds) == [
            generator_pb2.CONDITION_KIND_COMPOSITION,
            generator_pb2.CONDITION_KIND_CHEMICAL_SYSTEM,
            generator_pb2.CONDITION_KIND_PROPERTY,
        ]
        assert list(answer.condition_properties) == ["band_gap"]

    call(scenario)


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        (
            {"n": 2, "conditions": condition(properties={"bulk_modulus": 1.0})},
            r"properties\['bulk_modulus'\].*band_gap",
        ),
        (
            {"n": 2, "conditions": condition(properties={"band_gap": 99.0})},
            r"properties\['band_gap'\] is 99.*eV",
        ),
        (
            {"n": 2, "conditions": condition(composition="UO2")},
            r"conditions\[0\]\.composition\[0\]\.number.*\(U\)",
        ),
        (
            {"n": 2, "conditions": condition(composition="Na4Cl3")},
            r"conditions\[0\]\.composition.*at most 6 atoms",
        ),
        ({"num_atoms": [2, 3], "conditions": condition(composition="NaCl")}, r"num_atoms\[1\] is 3"),
        ({"n": 3, "conditions": [condition(), condition()]}, "conditions has 2 entries for 3 samples"),
        (
            {"n": 1, "conditions": condition(composition="MgO", chemical_system="Na-O")},
            "which chemical_system leaves out",
        ),
        ({"n": 1, "guidance_scale": 2.0}, "without a condition"),
        ({"n": 1, "conditions": condition(composition="MgO"), "guidance_scale": -1.0}, "must be 0 to"),
    ],
)
def test_what_cannot_be_met_is_refused_by_field(call, asked: dict[str, object], named: str) -> None:
    async def scenario(client: AsyncClient) -> None:
        with pytest.raises(InvalidArgumentError, match=named):
            await client.generator.sample(**asked)

    call(scenario)
