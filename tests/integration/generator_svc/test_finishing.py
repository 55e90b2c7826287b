"""Finishing over a real connection, with a finisher that was trained and put into a bundle by commands."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
import torch

from generator_svc.service.engine import Engine
from generator_svc.service.servicer import GeneratorService
from generator_svc.storage.bundle import add_finisher, load_bundle
from generator_svc.storage.tensors import read_tensors
from tests.tiny_bundle import crystal_table, make_tiny_bundle
from tests.tiny_finisher import trained_finisher
from xenolith.bundle import CARD, MANIFEST, Bundle, BundleError, read_bundle
from xenolith.cli import main
from xenolith.client import AsyncClient
from xenolith.errors import FailedPreconditionError, InvalidArgumentError
from xenolith.serving import running_server

T = TypeVar("T")


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_tiny_bundle(tmp_path_factory.mktemp("bundles") / "plain")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained_finisher(tmp_path_factory.mktemp("trained"))


@pytest.fixture(scope="module")
def finishing(plain: Bundle, run: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("bundles") / "finishing"
    shutil.copytree(plain.path, folder)
    command = ["bundle", "add-finisher", str(folder), str(run), "--steps", "4", "--noise", "0.3"]
    assert main(command) == 0
    return read_bundle(folder)


def call(bundle: Bundle, scenario: Callable[[AsyncClient], Awaitable[T]]) -> T:
    """Run a coroutine function with a client of a fresh server of the bundle."""

    async def run() -> T:
        service = GeneratorService(Engine(load_bundle(bundle), torch.device("cpu")))
        async with (
            running_server([service]) as server,
            AsyncClient.connect(generator=server.address) as client,
        ):
            return await scenario(client)

    return asyncio.run(run())


ASKED = {"num_atoms": [3, 5, 1, 5], "sample_seeds": [7, 8, 9, 10], "steps": 4}


def test_samples_are_finished_unless_they_are_not_to_be(plain: Bundle, finishing: Bundle) -> None:
    async def scenario(client: AsyncClient) -> tuple:
        return (
            await client.generator.sample(**ASKED),
            await client.generator.sample(**ASKED, finish_steps=0),
            await client.generator.sample(**ASKED, finish_noise=0.8),
        )

    finished, decoded, further = call(finishing, scenario)
    before = call(plain, lambda client: client.generator.sample(**ASKED))
    np.testing.assert_array_equal(finished.latents, decoded.latents)
    np.testing.assert_array_equal(finished.crystals.numbers, decoded.crystals.numbers)
    np.testing.assert_array_equal(decoded.crystals.frac_coords, before.crystals.frac_coords)
    np.testing.assert_array_equal(decoded.crystals.lattices, before.crystals.lattices)
    assert np.abs(finished.crystals.lattices - decoded.crystals.lattices).max() > 1e-3
    assert np.abs(further.crystals.lattices - finished.crystals.lattices).max() > 1e-3

    used = finished.provenance
    assert (used.finishing.steps, used.finishing.noise) == (4, 0.3)
    assert used.finisher_digest == finishing.manifest["finisher"]["sha256"]
    assert (further.provenance.finishing.steps, further.provenance.finishing.noise) == (4, 0.8)
    assert not decoded.provenance.HasField("finishing")
    assert decoded.provenance.finisher_digest == ""


def test_a_finished_sample_depends_on_its_seed_and_not_on_its_batch(finishing: Bundle) -> None:
    async def scenario(client: AsyncClient) -> tuple:
        return (
            await client.generator.sample(**ASKED),
            await client.generator.sample(**ASKED),
            await client.generator.sample(num_atoms=[5], sample_seeds=[10], steps=4),
        )

    batch, again, alone = call(finishing, scenario)
    np.testing.assert_array_equal(batch.crystals.frac_coords, again.crystals.frac_coords)
    np.testing.assert_allclose(batch[3].lattice, alone[0].lattice, atol=1e-3)
    apart = batch[3].frac_coords - alone[0].frac_coords
    assert np.abs(apart - np.round(apart)).max() < 1e-3


def test_decoding_finishes_as_sampling_does(finishing: Bundle) -> None:
    async def scenario(client: AsyncClient) -> tuple:
        samples = await client.generator.sample(**ASKED)
        digest = samples.provenance.autoencoder_digest
        decode = client.generator.decode
        return (
            samples,
            await decode(samples.latents, ASKED["num_atoms"], autoencoder_digest=digest),
            await decode(samples.latents, ASKED["num_atoms"], autoencoder_digest=digest, finish_steps=0),
        )

    samples, finished, decoded = call(finishing, scenario)
    np.testing.assert_allclose(finished.crystals.lattices, samples.crystals.lattices, atol=1e-3)
    assert finished.provenance.finishing.steps == 4
    assert np.abs(decoded.crystals.lattices - samples.crystals.lattices).max() > 1e-3
    assert not decoded.provenance.HasField("finishing")


def test_describe_tells_of_the_finisher(plain: Bundle, finishing: Bundle) -> None:
    described = call(finishing, lambda client: client.generator.describe())
    assert (described.default_finishing.steps, described.default_finishing.noise) == (4, 0.3)
    assert described.finisher_digest == finishing.manifest["finisher"]["sha256"]
    without = call(plain, lambda client: client.generator.describe())
    assert not without.HasField("default_finishing")
    assert without.finisher_digest == ""


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        ({"finish_steps": 201}, r"finishing\.steps.*0 to 200"),
        ({"finish_steps": -1}, r"finishing\.steps"),
        ({"finish_noise": 0.01}, r"finishing\.noise.*above 0\.02"),
        ({"finish_noise": 5.5}, r"finishing\.noise.*at most 5"),
        ({"finish_noise": float("nan")}, r"finishing\.noise"),
    ],
)
def test_finishing_out_of_range_is_refused(finishing: Bundle, asked: dict[str, float], text: str) -> None:
    with pytest.raises(InvalidArgumentError, match=text):
        call(finishing, lambda client: client.generator.sample(n=1, **asked))


def test_a_bundle_without_finisher_finishes_nothing(plain: Bundle) -> None:
    for asked in ({"finish_steps": 3}, {"finish_noise": 0.5}):
        with pytest.raises(FailedPreconditionError, match="add-finisher"):
            call(plain, lambda client, asked=asked: client.generator.sample(n=1, **asked))
    samples = call(plain, lambda client: client.generator.sample(n=1, seed=0, steps=2, finish_steps=0))
    assert not samples.provenance.HasField("finishing")


def test_a_finisher_changes_the_digest_and_takes_the_card_away(
    plain: Bundle, run: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "carded"
    shutil.copytree(plain.path, folder)
    (folder / CARD).write_text(json.dumps({"digest": plain.digest}))
    assert main(["bundle", "add-finisher", str(folder), str(run), "--storage", "int8"]) == 0
    bundle = read_bundle(folder)
    assert bundle.digest != plain.digest
    assert bundle.card == {}
    assert bundle.problems() == []
    assert bundle.manifest["denoiser"] == plain.manifest["denoiser"]
    loaded = load_bundle(bundle)
    assert loaded.finisher is not None
    weights = read_tensors(run / "finisher.safetensors")
    for name, value in loaded.finisher.state_dict().items():
        torch.testing.assert_close(value, weights[name], rtol=0.01, atol=0.01)

    (folder / "finisher.safetensors").write_bytes(b"something else")
    with pytest.raises(BundleError, match=r"finisher\.safetensors does not have the digest"):
        load_bundle(bundle)


def test_bundles_of_the_format_before_load_as_they_were(plain: Bundle, tmp_path: Path) -> None:
    folder = tmp_path / "old"
    shutil.copytree(plain.path, folder)
    manifest = json.loads((folder / MANIFEST).read_text()) | {"format": 2}
    (folder / MANIFEST).write_text(json.dumps(manifest))
    loaded = load_bundle(read_bundle(folder))
    assert loaded.finisher is None
    assert loaded.finisher_digest == ""


def test_a_finisher_has_to_know_the_bundles_elements(tmp_path: Path) -> None:
    table = crystal_table()
    table.numbers[0] = 92
    bundle = make_tiny_bundle(tmp_path / "heavy", table=table)
    with pytest.raises(BundleError, match="knows elements up to 60, tiny makes 92"):
        add_finisher(bundle, trained_finisher(tmp_path, heaviest=60), steps=4, noise=0.3)


@pytest.mark.parametrize("option", [("--steps", "300"), ("--noise", "9")])
def test_defaults_out_of_range_are_refused(
    plain: Bundle, run: Path, option: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(plain.path, folder)
    assert main(["bundle", "add-finisher", str(folder), str(run), *option]) == 1
    assert "finishing." in capsys.readouterr().err
    assert not (folder / "finisher.safetensors").exists()
