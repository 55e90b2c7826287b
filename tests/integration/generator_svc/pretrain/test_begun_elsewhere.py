"""Trainings that start from what another left: it keeps its meaning, and what does not fit is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file

from generator_svc.networks.autoencoder import AutoencoderConfig
from generator_svc.networks.conditions import ConditionsConfig
from generator_svc.networks.denoiser import DenoiserConfig
from generator_svc.pretrain.autoencoder import run_autoencoder
from generator_svc.pretrain.denoiser import DenoiserTask, run_denoiser
from generator_svc.storage.bundle import build_bundle
from generator_svc.storage.run_settings import (
    AutoencoderRun,
    ConditionSettings,
    DataSettings,
    DenoiserRun,
    LoopSettings,
    ScalarSettings,
)
from tests.salts import write_salts
from xenolith.bundle import Bundle
from xenolith.errors import FailedPreconditionError, InvalidArgumentError, NotFoundError

LOOP = LoopSettings(epochs=2, batch_size=2, warmup_steps=1, validate_every=100)
SMALL = AutoencoderConfig(width=16, heads=2, encoder_layers=1, decoder_layers=1, refine_layers=1)
ASKED = ConditionSettings(unconditional=0.2, composition=0.9, scalars={"gap": ScalarSettings(unit="A")})


def write_fluorides(path: Path) -> Path:
    """Other crystals than the salts, with other labels."""
    rows = [
        {
            "material_id": f"fluoride-{metal}",
            "split": "train" if metal < 50 else "val",
            "lattice": [edge, edge, edge, 60.0, 60.0, 60.0],
            "numbers": [metal, 9],
            "frac": [0.0, 0.0, 0.0, 0.5, 0.5, 0.5],
            "gap": 10 * edge,
        }
        for metal, edge in ((3, 2.8), (11, 3.3), (19, 3.8), (37, 4.0), (55, 4.3))
    ]
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


@pytest.fixture(scope="module")
def salts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_salts(tmp_path_factory.mktemp("data") / "salts.parquet")


@pytest.fixture(scope="module")
def autoencoder(salts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = AutoencoderRun(data=DataSettings(path=salts), loop=LOOP, model=SMALL)
    return run_autoencoder(run, tmp_path_factory.mktemp("autoencoder"))


def denoiser_run(data: Path, autoencoder: Path, start: Path | None = None) -> DenoiserRun:
    return DenoiserRun(
        data=DataSettings(path=data),
        autoencoder=autoencoder,
        loop=LOOP,
        model=DenoiserConfig(width=16, heads=2, layers=1),
        conditions=ASKED,
        initial_weights=start,
    )


@pytest.fixture(scope="module")
def bundle(salts: Path, autoencoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("first")
    trained = run_denoiser(denoiser_run(salts, autoencoder), folder / "run")
    return build_bundle(trained, folder / "bundle", "salts")


@pytest.mark.parametrize("start", ["run", "bundle"])
def test_fine_tuning_on_other_crystals_starts_as_the_network_it_starts_from(
    bundle: Bundle, autoencoder: Path, tmp_path: Path, start: str
) -> None:
    folder = bundle.path if start == "bundle" else bundle.path.parent / "run"
    fluorides = write_fluorides(tmp_path / "fluorides.parquet")
    source = bundle.path if start == "bundle" else autoencoder
    task = DenoiserTask(denoiser_run(fluorides, source, folder / "denoiser.safetensors"))
    before = bundle.manifest
    assert task.mean.tolist() == pytest.approx(before["latents"]["mean"])
    assert task.std.tolist() == pytest.approx(before["latents"]["std"])
    learnt = task.model.config.conditions
    assert isinstance(learnt, ConditionsConfig)
    (old,) = before["denoiser"]["config"]["conditions"]["scalars"]
    assert (learnt.scalars[0].mean, learnt.scalars[0].std) == pytest.approx((old["mean"], old["std"]))
    trained = load_file(bundle.path.parent / "run" / "denoiser.safetensors")
    tolerance = 2e-3 if start == "bundle" else 0.0  # bundles hold half precision
    for name, value in task.model.state_dict().items():
        torch.testing.assert_close(value, trained[name], rtol=tolerance, atol=tolerance)


def test_weights_of_another_encoder_or_without_a_past_are_refused(
    salts: Path, bundle: Bundle, tmp_path: Path
) -> None:
    other = AutoencoderRun(
        data=DataSettings(path=salts), loop=LOOP.model_copy(update={"seed": 7}), model=SMALL
    )
    elsewhere = run_autoencoder(other, tmp_path / "other")
    weights = bundle.path / "denoiser.safetensors"
    with pytest.raises(InvalidArgumentError, match="another encoder"):
        DenoiserTask(denoiser_run(salts, elsewhere, weights))
    (tmp_path / "alone.safetensors").write_bytes(weights.read_bytes())
    with pytest.raises(NotFoundError, match="how its latents were standardised"):
        DenoiserTask(denoiser_run(salts, bundle.path, tmp_path / "alone.safetensors"))


@pytest.mark.parametrize(
    ("content", "error"), [(None, NotFoundError), (b"not a tensor in it", InvalidArgumentError)]
)
def test_initial_weights_that_cannot_be_read_are_named(
    salts: Path, bundle: Bundle, tmp_path: Path, content: bytes | None, error: type[Exception]
) -> None:
    folder = tmp_path / "copy"
    folder.mkdir()
    for name in ("run.json", "latents.json"):
        (folder / name).write_bytes((bundle.path.parent / "run" / name).read_bytes())
    if content is not None:
        (folder / "denoiser.safetensors").write_bytes(content)
    with pytest.raises(error, match=r"denoiser\.safetensors"):
        DenoiserTask(denoiser_run(salts, bundle.path, folder / "denoiser.safetensors"))


def test_other_crystals_under_the_same_path_do_not_continue_a_training(
    autoencoder: Path, tmp_path: Path
) -> None:
    data, folder = tmp_path / "data.parquet", tmp_path / "denoiser"
    write_salts(data)
    run = denoiser_run(data, autoencoder).model_copy(update={"conditions": None})
    run_denoiser(run, folder)
    before = {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}
    write_fluorides(data)
    with pytest.raises(FailedPreconditionError, match="other contents of: crystals"):
        run_denoiser(run, folder)
    assert {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()} == before
    (folder / "inputs.json").unlink()  # as older versions left it
    (folder / "training.safetensors").unlink()
    assert run_denoiser(run, folder) == folder


def test_crystals_larger_than_the_network_are_refused_before_anything_is_written(
    salts: Path, autoencoder: Path, tmp_path: Path
) -> None:
    run = denoiser_run(salts, autoencoder)
    small = run.model_copy(update={"model": DenoiserConfig(width=16, heads=2, layers=1, max_atoms=1)})
    with pytest.raises(InvalidArgumentError, match=r"model\.max_atoms is 1"):
        run_denoiser(small, tmp_path / "denoiser")
    assert not (tmp_path / "denoiser").exists()


def test_an_autoencoder_of_few_elements_limits_what_is_trained_on(salts: Path, tmp_path: Path) -> None:
    light = AutoencoderConfig(**{**vars(SMALL), "max_atomic_number": 37})
    first = run_autoencoder(
        AutoencoderRun(data=DataSettings(path=salts), loop=LOOP, model=light), tmp_path / "a"
    )
    task = DenoiserTask(denoiser_run(salts, first))
    assert task.table.numbers.max() <= 37
    assert np.isfinite(task.validate(task.model)["loss"])


def test_cells_that_are_all_alike_can_be_learnt(tmp_path: Path) -> None:
    cubic = [
        {
            "material_id": f"cubic-{z}",
            "split": "train",
            "lattice": [edge, edge, edge, 90.0, 90.0, 90.0],
            "numbers": [z],
            "frac": [0.0, 0.0, 0.0],
        }
        for z, edge in ((84, 3.35), (26, 2.8))
    ]
    for count in (1, 2):
        path = tmp_path / f"{count}.parquet"
        pq.write_table(pa.Table.from_pylist(cubic[:count]), path)
        run = AutoencoderRun(data=DataSettings(path=path, validation_split="train"), loop=LOOP, model=SMALL)
        weights = load_file(run_autoencoder(run, tmp_path / str(count)) / "autoencoder.safetensors")
        assert all(value.isfinite().all() for value in weights.values())
        assert weights["cell_std"].min() > 0


def test_a_decoder_alone_needs_an_encoder(salts: Path) -> None:
    with pytest.raises(ValidationError, match="initial_weights"):
        AutoencoderRun(data=DataSettings(path=salts), freeze_encoder=True)


def test_an_unfinished_training_makes_no_bundle(bundle: Bundle, tmp_path: Path) -> None:
    run = json.loads((bundle.path.parent / "run" / "run.json").read_text())
    (tmp_path / "run.json").write_text(json.dumps(run))
    with pytest.raises(NotFoundError, match="holds no finished denoiser"):
        build_bundle(tmp_path, tmp_path / "bundle", "none")
    assert not (tmp_path / "bundle").exists()
