"""Pretraining on a small real parquet file: it learns, resumes exactly, and what does not fit is named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file

from generator_svc.data.load import read_crystals
from generator_svc.data.table import DataError
from generator_svc.networks.autoencoder import AutoencoderConfig
from generator_svc.networks.denoiser import DenoiserConfig
from generator_svc.networks.lora import LoraConfig
from generator_svc.pretrain import autoencoder as stage_one
from generator_svc.pretrain.denoiser import DenoiserTask, run_denoiser
from generator_svc.storage.bundle import build_bundle, load_bundle
from generator_svc.storage.finished import load_autoencoder
from generator_svc.storage.folder import read_run
from generator_svc.storage.run_settings import (
    AutoencoderRun,
    ConditionSettings,
    DataSettings,
    DenoiserRun,
    LoopSettings,
    OptimizerKind,
    ScalarSettings,
    check_settings,
)
from generator_svc.storage.tensors import save_tensors
from tests.salts import write_salts
from xenolith.bundle import Bundle, BundleError, find_bundle
from xenolith.errors import InvalidArgumentError, NotFoundError
from xenolith.files import read_toml

SMALL = AutoencoderConfig(width=16, heads=2, encoder_layers=1, decoder_layers=1, refine_layers=1)


@pytest.fixture(scope="module")
def parquet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rock salts, half for training and half for validation."""
    return write_salts(tmp_path_factory.mktemp("data") / "salts.parquet")


def autoencoder_run(parquet: Path, epochs: int, optimizer: OptimizerKind = "adamw") -> AutoencoderRun:
    loop = LoopSettings(
        optimizer=optimizer,
        epochs=epochs,
        batch_size=2,
        warmup_steps=2,
        validate_every=100,
        checkpoint_every=4,
        learning_rate=2e-3,
    )
    return AutoencoderRun(data=DataSettings(path=parquet), loop=loop, model=SMALL)


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_killed_run_resumes_into_the_same_weights(
    parquet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, optimizer: OptimizerKind
) -> None:
    run = autoencoder_run(parquet, 6, optimizer)
    whole = stage_one.run_autoencoder(run, tmp_path / "whole")

    class KilledError(Exception):
        pass

    plain = stage_one.AutoencoderTask.loss

    def dies_at_nine(self: stage_one.AutoencoderTask, rows: np.ndarray, step: int) -> object:
        if step == 9:
            raise KilledError
        return plain(self, rows, step)

    with monkeypatch.context() as patch:
        patch.setattr(stage_one.AutoencoderTask, "loss", dies_at_nine)
        with pytest.raises(KilledError):
            stage_one.run_autoencoder(run, tmp_path / "halves")
    halves = stage_one.run_autoencoder(run, tmp_path / "halves")
    expected = load_file(whole / "autoencoder.safetensors")
    for name, value in load_file(halves / "autoencoder.safetensors").items():
        assert value.equal(expected[name]), name


@pytest.fixture(scope="module")
def trained(parquet: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Both stages and a bundle, as a user makes them."""
    folder = tmp_path_factory.mktemp("trained")
    first = stage_one.run_autoencoder(autoencoder_run(parquet, 30), folder / "autoencoder")
    loop = LoopSettings(epochs=30, batch_size=2, warmup_steps=2, validate_every=100)
    model = DenoiserConfig(width=16, heads=2, layers=1)
    run = DenoiserRun(data=DataSettings(path=parquet), autoencoder=first, loop=loop, model=model)
    return build_bundle(run_denoiser(run, folder / "denoiser"), folder / "bundles" / "salts", "salts")


def test_both_stages_make_a_bundle_that_loads(trained: Bundle) -> None:
    loaded = load_bundle(find_bundle(trained.path))
    assert loaded.bundle.name == "salts"
    assert loaded.atom_counts.tolist() == [2]
    assert loaded.latent_std.min() > 0
    assert set(trained.manifest["elements"]) == {3, 11, 19, 56, 12, 20, 37, 17, 8, 9, 35} & {
        11,
        3,
        19,
        56,
        17,
        9,
        35,
        8,
    }


def test_conditions_are_learnt_resumed_and_shipped(
    parquet: Path, trained: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stages = trained.path.parents[1]
    run = DenoiserRun(
        data=DataSettings(path=parquet),
        autoencoder=stages / "autoencoder",
        loop=LoopSettings(epochs=4, batch_size=2, warmup_steps=2, validate_every=100, checkpoint_every=3),
        model=DenoiserConfig(width=16, heads=2, layers=1),
        conditions=ConditionSettings(
            unconditional=0.2, composition=0.9, scalars={"gap": ScalarSettings(keep=0.9, unit="eV")}
        ),
        initial_weights=stages / "denoiser" / "denoiser.safetensors",
    )
    whole = load_file(run_denoiser(run, tmp_path / "whole") / "denoiser.safetensors")
    assert whole["conditions.composition.4.weight"].abs().max() > 0
    assert whole["conditions.scalars.gap.4.weight"].abs().max() > 0

    class KilledError(Exception):
        pass

    loss = DenoiserTask.loss

    def killed(self: DenoiserTask, rows: np.ndarray, step: int) -> object:
        if step == 5:
            raise KilledError
        return loss(self, rows, step)

    monkeypatch.setattr(DenoiserTask, "loss", killed)
    with pytest.raises(KilledError):
        run_denoiser(run, tmp_path / "parts")
    monkeypatch.undo()
    resumed = load_file(run_denoiser(run, tmp_path / "parts") / "denoiser.safetensors")
    assert all(np.array_equal(whole[name], resumed[name]) for name in whole)

    figures = json.loads((tmp_path / "whole" / "validation.json").read_text())
    assert {"loss", "loss_composition", "gain_composition", "loss_gap", "gain_gap"} <= figures.keys()
    bundle = build_bundle(tmp_path / "whole", tmp_path / "bundle", "conditional")
    learnt = load_bundle(bundle).denoiser.config.conditions
    assert learnt is not None
    assert learnt.kinds == ("composition", "gap")
    assert learnt.element_prior
    assert whole["element_prior.mean"][10].abs().max() > 0
    labels = np.array([4.0, 6.6, 5.5], dtype=np.float32)
    assert learnt.scalars[0].mean == pytest.approx(labels.mean())
    assert (learnt.scalars[0].unit, learnt.scalars[0].std) == ("eV", pytest.approx(labels.std()))


def test_fine_tuning_by_an_adapter_leaves_all_other_weights(
    parquet: Path, trained: Bundle, tmp_path: Path
) -> None:
    stages = trained.path.parents[1]
    run = DenoiserRun(
        data=DataSettings(path=parquet),
        autoencoder=stages / "autoencoder",
        loop=LoopSettings(epochs=2, batch_size=2, warmup_steps=1, learning_rate=1e-2),
        model=DenoiserConfig(width=16, heads=2, layers=1),
        conditions=ConditionSettings(unconditional=0.2, composition=1.0),
        initial_weights=stages / "denoiser" / "denoiser.safetensors",
        adapter=LoraConfig(rank=2, alpha=4.0, targets=("mlp",)),
    )
    before = load_file(run.initial_weights)
    after = load_file(run_denoiser(run, tmp_path / "tuned") / "denoiser.safetensors")
    changed = {name for name in before if not np.array_equal(before[name], after[name])}
    assert changed == {"blocks.0.mlp.0.weight", "blocks.0.mlp.2.weight"}
    assert after["conditions.composition.4.weight"].abs().max() > 0
    assert load_bundle(build_bundle(tmp_path / "tuned", tmp_path / "bundle", "tuned")).bundle.name == "tuned"
    with pytest.raises(ValidationError, match="initial_weights"):
        DenoiserRun(**{**dict(run), "initial_weights": None})
    with pytest.raises(ValidationError, match=r"loop\.optimizer"):
        DenoiserRun(**{**dict(run), "loop": LoopSettings(optimizer="muon")})


def test_a_time_shift_trains_more_where_crystals_are_decided(parquet: Path, trained: Bundle) -> None:
    run = DenoiserRun(
        data=DataSettings(path=parquet),
        autoencoder=trained.path.parents[1] / "autoencoder",
        loop=LoopSettings(batch_size=2),
        model=DenoiserConfig(width=16, heads=2, layers=1),
        time_shift=0.35,
    )
    seen: list[torch.Tensor] = []

    class Watched(DenoiserTask):
        def _noisy(self, latents, ragged, shift=1.0):
            seen.append(super()._noisy(latents, ragged, shift)[1])
            return super()._noisy(latents, ragged, shift)

    task = Watched(run)
    rows = np.arange(2000) % len(task.table)
    task.loss(rows, step=0)
    figures = task.validate(task.model)
    trained_at, validated_at = seen
    assert trained_at.median().item() == pytest.approx(0.35 * 0.5 / (1 - 0.65 * 0.5), abs=0.01)
    assert trained_at.min() >= 0 and trained_at.max() <= 1
    # Validation stays comparable between trainings with other shifts.
    assert sorted(validated_at.tolist()) == pytest.approx(np.linspace(0, 1, 5)[:-1] + 0.125, abs=0.125)
    bands = {name: value for name, value in figures.items() if name.startswith("loss_t_")}
    assert min(bands.values()) <= figures["loss"] <= max(bands.values())


def test_a_label_that_is_no_number_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "wrong.parquet"
    columns = {"lattice": [[4.0, 4, 4, 90, 90, 90]], "numbers": [[1]], "frac": [[0.0] * 3], "gap": ["wide"]}
    pq.write_table(pa.table(columns), path)
    with pytest.raises(DataError, match="'gap' must hold numbers"):
        read_crystals(path, scalars=["gap"])
    with pytest.raises(DataError, match="'bulk' is missing"):
        read_crystals(path, scalars=["bulk"])


def test_a_damaged_bundle_is_refused_by_name(trained: Bundle) -> None:
    file = trained.file("denoiser")
    sound = file.read_bytes()
    file.write_bytes(sound[:-1] + bytes([sound[-1] ^ 1]))
    try:
        with pytest.raises(BundleError, match=r"denoiser\.safetensors"):
            load_bundle(find_bundle(trained.path))
    finally:
        file.write_bytes(sound)


def test_a_bundle_that_is_nowhere_says_where_was_looked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XENOLITH_BUNDLES", str(tmp_path))
    with pytest.raises(BundleError, match=str(tmp_path)):
        find_bundle("no-such-bundle")


def test_a_file_without_a_column_is_refused_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "wrong.parquet"
    pq.write_table(pa.table({"lattice": [[1.0] * 6], "numbers": [[1]]}), path)
    with pytest.raises(DataError, match="'frac'"):
        read_crystals(path)


def test_coordinates_that_do_not_fit_their_atoms_name_the_row(tmp_path: Path) -> None:
    path = tmp_path / "wrong.parquet"
    columns = {"lattice": [[4.0, 4, 4, 90, 90, 90]], "numbers": [[1, 1]], "frac": [[0.0, 0.0, 0.0]]}
    pq.write_table(pa.table(columns), path)
    with pytest.raises(DataError, match="row 0, column 'frac': holds 3 numbers"):
        read_crystals(path)


def test_an_unknown_setting_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text('[data]\npath = "x.parquet"\n[loop]\nepoch = 3\n')
    with pytest.raises(InvalidArgumentError, match=r"loop\.epoch: .*did you mean epochs\?"):
        check_settings(read_toml(path), AutoencoderRun, str(path))


def test_a_folder_of_an_older_version_is_read(parquet: Path, tmp_path: Path) -> None:
    """Keys that came later get their defaults; the weights are the same."""
    folder = stage_one.run_autoencoder(autoencoder_run(parquet, 1), tmp_path)
    file = folder / "run.json"
    document = json.loads(file.read_text())
    for key in ("pieces", "bucket", "precision", "compile"):
        del document["loop"][key]
    for key in ("columns", "validation_fraction", "on_error"):
        del document["data"][key]
    file.write_text(json.dumps(document))
    assert load_autoencoder(folder).config == SMALL
    stage_one.run_autoencoder(autoencoder_run(parquet, 1), folder)


def test_a_folder_without_a_training_says_what_to_run(parquet: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="holds no training"):
        run_denoiser(
            DenoiserRun(data=DataSettings(path=parquet), autoencoder=tmp_path), tmp_path / "denoiser"
        )
    folder = stage_one.run_autoencoder(autoencoder_run(parquet, 1), tmp_path)
    (folder / "autoencoder.safetensors").unlink()
    with pytest.raises(NotFoundError, match="run `xenolith pretrain autoencoder`"):
        load_autoencoder(folder)


def test_a_bundle_takes_a_better_decoder_and_no_other_encoder(trained, tmp_path):
    folder = trained.path.parent.parent / "denoiser"
    run = read_run(folder, DenoiserRun)
    before = load_file(Path(run.autoencoder) / "autoencoder.safetensors")
    for part in ("decoder", "encoder"):
        other = tmp_path / part
        shutil.copytree(run.autoencoder, other)
        changed = {k: v + 0.1 if k.startswith(part) and v.dim() > 1 else v for k, v in before.items()}
        save_tensors(other / "autoencoder.safetensors", changed)
    bundle = build_bundle(
        folder, tmp_path / "b", "better", storage="int8", autoencoder_run=tmp_path / "decoder"
    )
    weights = load_bundle(bundle).autoencoder.state_dict()
    name = next(k for k, v in before.items() if k.startswith("decoder") and v.dim() > 1)
    torch.testing.assert_close(weights[name], before[name] + 0.1, atol=1e-3, rtol=1e-3)
    with pytest.raises(BundleError, match="another encoder"):
        build_bundle(folder, tmp_path / "c", "other", autoencoder_run=tmp_path / "encoder")
