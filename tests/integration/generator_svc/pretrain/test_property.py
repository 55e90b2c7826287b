"""A property predicted from latents: it learns, ships with a bundle, and knows its autoencoder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch

from generator_svc.data.load import DataSettings, load_crystals
from generator_svc.data.table import DataError
from generator_svc.networks.autoencoder import AutoencoderConfig
from generator_svc.networks.denoiser import DenoiserConfig
from generator_svc.networks.property_head import HeadConfig, PropertyHead
from generator_svc.networks.ragged import Ragged
from generator_svc.predictor.trained import add_predictor, load_predictor, load_predictors
from generator_svc.pretrain.autoencoder import run_autoencoder
from generator_svc.pretrain.denoiser import run_denoiser
from generator_svc.pretrain.property import run_property
from generator_svc.storage.bundle import build_bundle, load_bundle
from generator_svc.storage.finished import load_autoencoder
from generator_svc.storage.run_settings import AutoencoderRun, DenoiserRun, LoopSettings, PropertyRun
from tests.salts import write_salts
from xenolith.bundle import Bundle, read_bundle
from xenolith.cli import main
from xenolith.errors import FailedPreconditionError

PARTS: tuple[Literal["train", "validation"], ...] = ("train", "validation")
LOOP = LoopSettings(epochs=2, batch_size=2, warmup_steps=1, validate_every=100)


@pytest.fixture(scope="module")
def salts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_salts(tmp_path_factory.mktemp("data") / "salts.parquet")


@pytest.fixture(scope="module")
def autoencoder(salts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = AutoencoderConfig(width=16, heads=2, encoder_layers=1, decoder_layers=1, refine_layers=1)
    loop = LOOP.model_copy(update={"epochs": 40})
    run = AutoencoderRun(data=DataSettings(path=salts, max_atoms=4), loop=loop, model=model)
    return run_autoencoder(run, tmp_path_factory.mktemp("autoencoder"))


@pytest.fixture(scope="module")
def bundle(salts: Path, autoencoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("denoiser")
    model = DenoiserConfig(width=16, heads=2, layers=1, max_atoms=4)
    run = DenoiserRun(data=DataSettings(path=salts), autoencoder=autoencoder, loop=LOOP, model=model)
    return build_bundle(run_denoiser(run, folder / "run"), folder / "bundle", "salts")


@pytest.fixture(scope="module")
def trained(salts: Path, autoencoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trained as a user does it, from the command line."""
    folder = tmp_path_factory.mktemp("property")
    config = folder / "run.toml"
    config.write_text(
        f'unit = "A"\ntest_split = "val"\n[data]\npath = "{salts}"\n[model]\nwidth = 32\ndropout = 0.0\n'
        "[loop]\nepochs = 200\nbatch_size = 3\nwarmup_steps = 5\nvalidate_every = 200\nlearning_rate = 3e-3\n"
        "ema_decay = 0.9\n"
    )
    command = ["pretrain", "property", str(config), "--column", "gap", "--autoencoder", str(autoencoder)]
    assert main([*command, "--out", str(folder / "gap")]) == 0
    return folder / "gap"


def test_it_learns_the_labels_it_sees(salts: Path, autoencoder: Path, trained: Path) -> None:
    predictor = load_predictor(trained, load_autoencoder(autoencoder))
    assert (predictor.column, predictor.unit) == ("gap", "A")
    table = load_crystals(DataSettings(path=salts), scalars=["gap"])
    labelled = table.take(np.flatnonzero(np.isfinite(table.scalars["gap"])))
    found = predictor.predict_crystals(labelled)
    labels = labelled.scalars["gap"]
    assert np.abs(found - labels).mean() < 0.2 * np.abs(labels - labels.mean()).mean()
    assert json.loads((trained / "run.json").read_text())["data"]["max_atoms"] == 4


def test_it_is_measured_against_what_is_simpler(salts: Path, autoencoder: Path, trained: Path) -> None:
    figures = load_predictor(trained, load_autoencoder(autoencoder)).figures
    assert figures["crystals"] == {"train": 3, "test": 3}
    tables = [load_crystals(DataSettings(path=salts), part, scalars=["gap"]) for part in PARTS]
    train, test = (t.scalars["gap"][np.isfinite(t.scalars["gap"])].astype(float) for t in tables)
    assert figures["test_mean"]["mae"] == pytest.approx(np.abs(test - train.mean()).mean())
    assert figures["test_mean"]["rmse"] == pytest.approx(np.sqrt(np.square(test - train.mean()).mean()))
    assert figures["test_composition_only"]["mae"] > 0
    assert figures["test"]["mae"] != figures["test_composition_only"]["mae"]


def test_it_comes_with_a_bundle_and_predicts_samples(bundle: Bundle, trained: Path) -> None:
    before = bundle.digest
    assert load_predictors(load_bundle(bundle)) == {}
    assert main(["bundle", "add-predictor", str(bundle.path), str(trained)]) == 0
    again = read_bundle(bundle.path)
    assert (again.digest, again.problems()) == (before, [])
    loaded = load_bundle(again)
    predictor = load_predictors(loaded)["gap"]
    normalised = np.random.default_rng(0).normal(size=(1030, 8)).astype(np.float32)
    counts = np.array([2] * 513 + [4])
    found = predictor.predict_samples(loaded, normalised, counts)
    assert found.shape == (514,)
    one = predictor.predict_samples(loaded, normalised[1026:], counts[513:])
    assert one[0] == pytest.approx(found[513], rel=1e-4)
    direct = predictor.predict(loaded.restore(torch.from_numpy(normalised[:2])), np.array([2]))
    assert direct[0] == pytest.approx(found[0], rel=1e-4)

    weights = bundle.path / "predictors" / "gap" / "weights.safetensors"
    sound = weights.read_bytes()
    weights.write_bytes(sound[:-1] + bytes([sound[-1] ^ 1]))
    try:
        assert any("weights.safetensors" in problem for problem in again.problems())
    finally:
        weights.write_bytes(sound)


def test_another_autoencoder_is_refused(trained: Path, tiny_bundle: Bundle) -> None:
    with pytest.raises(FailedPreconditionError, match="reads latents of the autoencoder"):
        add_predictor(load_bundle(tiny_bundle), trained)
    assert tiny_bundle.predictors == {}


def test_labels_that_are_not_there_are_named(salts: Path, autoencoder: Path, tmp_path: Path) -> None:
    run = PropertyRun(
        column="bulk",
        data=DataSettings(path=salts),
        autoencoder=str(autoencoder),
        test_split="val",
        loop=LOOP,
    )
    with pytest.raises(DataError, match=r"column 'bulk' is missing; columns of numbers are \['gap'\]"):
        run_property(run, tmp_path)


def test_the_order_of_atoms_does_not_matter() -> None:
    torch.manual_seed(0)
    head = PropertyHead(HeadConfig(width=16), 5).eval()
    features, ragged = torch.randn(7, 5), Ragged(torch.tensor([3, 4]))
    order = torch.tensor([2, 0, 1, 6, 5, 3, 4])
    torch.testing.assert_close(head(features, ragged), head(features[order], ragged))
    assert head(features, ragged)[0] != head(features, ragged)[1]
