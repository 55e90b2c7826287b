"""Bundles with a run's policy: they sample as the run does, through the finisher of the bundle before."""

import asyncio
import shutil

import numpy as np
import pytest
import torch

from generator_svc.service.engine import Engine
from generator_svc.service.servicer import GeneratorService
from generator_svc.storage.bundle import add_finisher, load_bundle, write_bundle
from tests.tiny_bundle import crystal_table, make_tiny_bundle
from tests.tiny_finisher import trained_finisher
from xenolith.bundle import Bundle, BundleError, read_bundle
from xenolith.cli import main
from xenolith.client import AsyncClient
from xenolith.serving import running_server
from xenolith.v1 import trainer_pb2 as pb

ASKED = {"n": 6, "seed": 5, "steps": 4}


@pytest.fixture(scope="module")
def tiny_bundle(tmp_path_factory) -> Bundle:
    """The usual one, with a finisher, a reference and a predictor beside it."""
    folder = tmp_path_factory.mktemp("finishing")
    bundle = make_tiny_bundle(folder / "tiny")
    (bundle.path / "reference").mkdir()
    (bundle.path / "reference" / "reference.json").write_text("{}")
    return add_finisher(bundle, trained_finisher(folder), steps=3, noise=0.4)


async def sampled(service, version):
    async with running_server([service]) as server, AsyncClient.connect(generator=server.address) as client:
        return await client.generator.sample(**ASKED, expected_policy_version=version)


def built(bundle, tmp_path, *more):
    command = ["bundle", "build", "--runs", str(tmp_path / "runs"), "--bundle", str(bundle.path)]
    return main([*command, "--out", str(tmp_path / "made"), *more])


def served(path):
    return GeneratorService(Engine(load_bundle(read_bundle(path)), torch.device("cpu")))


@pytest.mark.parametrize(("asked", "step"), [("small", 4), ("small/2", 2)])
def test_a_bundle_with_a_run_s_policy_samples_bit_for_bit_as_the_run(
    lab, small_run, tiny_bundle, tmp_path, asked, step
):
    small_run.evaluation.n = 0

    async def scenario(lab):
        await lab.run(small_run)
        request = pb.PublishPolicyRequest(run_name="small", step=step)
        published = await lab.stub.PublishPolicy(request)
        return await sampled(lab.generator, published.policy_version)

    wanted = lab(scenario)
    assert built(tiny_bundle, tmp_path, "--from-run", asked, "--name", "tuned") == 0
    made = read_bundle(tmp_path / "made" / "tuned")
    got = asyncio.run(sampled(served(made.path), "base"))
    np.testing.assert_array_equal(got.latents, wanted.latents)
    np.testing.assert_array_equal(got.crystals.numbers, wanted.crystals.numbers)
    np.testing.assert_array_equal(got.crystals.lattices, wanted.crystals.lattices)
    np.testing.assert_array_equal(got.crystals.frac_coords, wanted.crystals.frac_coords)
    assert made.manifest["finisher"] == tiny_bundle.manifest["finisher"]
    assert made.manifest["origin"]["run"] == "small"
    assert made.manifest["origin"]["step"] == step
    assert (made.reference / "reference.json").is_file()
    assert made.digest != tiny_bundle.digest
    # Half the size, for other samples.
    assert built(tiny_bundle, tmp_path, "--from-run", asked, "--name", "half", "--storage", "float16") == 0
    other = asyncio.run(sampled(served(tmp_path / "made" / "half"), "base"))
    assert not np.array_equal(other.latents, wanted.latents)


def test_a_policy_goes_with_its_own_bundle_and_not_in_its_place(
    lab, small_run, tiny_bundle, tmp_path, capsys
):
    small_run.evaluation.n, small_run.steps = 0, 1
    lab(lambda lab: lab.run(small_run))
    other = make_tiny_bundle(tmp_path / "other")
    assert built(other, tmp_path, "--from-run", "small", "--name", "tuned") == 1
    assert f"was made with bundle tiny {tiny_bundle.digest[:12]}" in " ".join(capsys.readouterr().err.split())
    command = ["bundle", "build", "--runs", str(tmp_path / "runs"), "--bundle", str(tiny_bundle.path)]
    assert (
        main([*command, "--from-run", "small", "--out", str(tiny_bundle.path.parent), "--name", "tiny"]) == 1
    )
    assert "give another --name" in " ".join(capsys.readouterr().err.split())
    assert built(tiny_bundle, tmp_path, "--name", "tuned") == 1
    assert "give one of them" in " ".join(capsys.readouterr().err.split())


def test_a_bundle_that_is_built_anew_keeps_its_finisher(tiny_bundle, tmp_path):
    folder = tmp_path / "again"
    shutil.copytree(tiny_bundle.path, folder)
    loaded = load_bundle(tiny_bundle)
    parts = loaded.autoencoder, loaded.denoiser, tiny_bundle.manifest["latents"]
    again = write_bundle(folder, "again", *parts, crystal_table())
    assert again.manifest["finisher"] == tiny_bundle.manifest["finisher"]
    assert load_bundle(again).finisher is not None
    heavy = crystal_table()
    heavy.numbers[0] = 110
    with pytest.raises(BundleError, match="knows elements up to 100, again makes 110"):
        write_bundle(folder, "again", *parts, heavy)
