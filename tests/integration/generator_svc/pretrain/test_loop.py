"""One training, however it is run: in pieces, by two processes, in half precision, in buckets, again."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from generator_svc.networks.autoencoder import AutoencoderConfig
from generator_svc.pretrain.autoencoder import AutoencoderTask, run_autoencoder
from generator_svc.pretrain.batches import batches, piece_of, seed_of
from generator_svc.pretrain.loop import Trainer
from generator_svc.pretrain.processes import Processes
from generator_svc.storage.run_settings import AutoencoderRun, DataSettings, LoopSettings
from tests.salts import write_salts
from xenolith.cli import main
from xenolith.errors import FailedPreconditionError, InvalidArgumentError

ROOT = Path(__file__).resolve().parents[4]
SMALL = AutoencoderConfig(width=16, heads=2, encoder_layers=1, decoder_layers=1, refine_layers=1)
CONFIG = """
[data]
path = "{data}"
[loop]
epochs = {epochs}
batch_size = 4
pieces = 2
warmup_steps = 2
validate_every = 100
checkpoint_every = 2
threads = 1
[model]
width = 16
heads = 2
encoder_layers = 1
decoder_layers = 1
refine_layers = 1
"""


@pytest.fixture(scope="module")
def salts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_salts(tmp_path_factory.mktemp("data") / "salts.parquet")


def run_of(salts: Path, **loop: object) -> AutoencoderRun:
    given = {"epochs": 3, "batch_size": 4, "warmup_steps": 2, "validate_every": 100, "learning_rate": 1e-3}
    settings = LoopSettings.model_validate({**given, **loop})
    return AutoencoderRun(data=DataSettings(path=salts), loop=settings, model=SMALL)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "autoencoder.safetensors")


def torchrun(*arguments: str) -> str:
    """Run ``xenolith pretrain autoencoder`` in two processes; returns what they print."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += ["-m", "xenolith.cli", "pretrain", "autoencoder", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=800, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.timeout(900)
def test_two_processes_train_as_one(salts: Path, tmp_path: Path) -> None:
    config, one, two = tmp_path / "run.toml", tmp_path / "one", tmp_path / "two"
    config.write_text(CONFIG.format(data=salts, epochs=6))
    assert main(["pretrain", "autoencoder", str(config), "--out", str(one)]) == 0
    assert torchrun(str(config), "--out", str(two)).count("weights in") == 1
    found = weights(two)
    for name, value in weights(one).items():
        torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-5, msg=name)
    assert load_file(two / "training.safetensors")["step"] == 6


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_two_processes_go_on_where_one_was_killed(
    salts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, whole, parts = tmp_path / "run.toml", tmp_path / "whole", tmp_path / "parts"
    config.write_text(CONFIG.format(data=salts, epochs=6))
    torchrun(str(config), "--out", str(whole))
    loss = AutoencoderTask.loss

    def killed(self: AutoencoderTask, rows: np.ndarray, step: int) -> object:
        if step == 5:
            raise KeyboardInterrupt
        return loss(self, rows, step)

    monkeypatch.setattr(AutoencoderTask, "loss", killed)
    assert main(["pretrain", "autoencoder", str(config), "--out", str(parts)]) == 130
    torchrun("--resume", "--out", str(parts))
    found = weights(parts)
    for name, value in weights(whole).items():
        torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-5, msg=name)


def test_pieces_are_one_batch(salts: Path) -> None:
    """The gradient of a batch is the mean of those of its pieces, weighted by their crystals."""
    run = run_of(salts, pieces=3)
    task, rows = AutoencoderTask(run), np.arange(4)
    trainer = Trainer(task, run.loop, Processes(device=torch.device("cpu")))
    trainer.gradient(rows, 7)
    found = [torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in task.model.parameters()]
    expected = [torch.zeros_like(p) for p in task.model.parameters()]
    for piece in range(3):
        task.model.zero_grad()
        part = piece_of(rows, piece, 3)
        torch.manual_seed(seed_of(run.loop.seed, 7, piece))
        task.loss(part, 7)[0].backward()
        for total, p in zip(expected, task.model.parameters(), strict=True):
            if p.grad is not None:
                total.add_(p.grad * len(part) / 4)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs)
    assert sum(float(value.norm()) for value in found) > 0


def test_pieces_that_processes_cannot_share_are_refused() -> None:
    with pytest.raises(InvalidArgumentError, match=r"loop\.pieces is 3.*multiple of 2"):
        Processes(device=torch.device("cpu"), count=2).share(3)


def test_half_precision_stays_near_full_precision(salts: Path) -> None:
    """Geometry and losses keep their digits: bfloat16 is for hidden states alone."""
    task = AutoencoderTask(run_of(salts))
    torch.manual_seed(0)
    full, _ = task.loss(np.arange(4), 0)
    torch.manual_seed(0)
    with torch.autocast("cpu", torch.bfloat16):
        half, figures = task.loss(np.arange(4), 0)
    assert half.dtype == torch.float32
    assert 0 < abs(half.item() - full.item()) < 0.02 * full.item()
    assert all(torch.isfinite(torch.as_tensor(value)) for value in figures.values())


def test_half_precision_trains(salts: Path, tmp_path: Path) -> None:
    folder = run_autoencoder(run_of(salts, precision="bfloat16"), tmp_path)
    assert all(value.isfinite().all() for value in weights(folder).values())
    assert all(value.dtype == torch.float32 for value in weights(folder).values())


def test_buckets_hold_alike_crystals_and_every_crystal_once() -> None:
    num_atoms = np.random.default_rng(0).integers(1, 21, 1000)
    settings = LoopSettings(epochs=2, batch_size=16, bucket=True)
    made = list(batches(num_atoms, settings, 0))
    epochs = [np.concatenate([rows for step, rows in made if step // 62 == epoch]) for epoch in (0, 1)]
    assert [len(np.unique(rows)) for rows in epochs] == [992, 992]
    assert not np.array_equal(epochs[0], epochs[1])
    spread = np.mean([np.ptp(num_atoms[rows]) for _, rows in made])
    plain = np.mean([np.ptp(num_atoms[rows]) for _, rows in batches(num_atoms, LoopSettings(epochs=2), 0)])
    assert spread < 3 < 15 < plain
    sizes = np.array([num_atoms[rows].mean() for step, rows in made if step < 62])
    assert abs(np.corrcoef(sizes, np.arange(62))[0, 1]) < 0.5  # small crystals do not come first
    later = list(batches(num_atoms, settings, 70))
    assert all(np.array_equal(rows, made[step][1]) for step, rows in later)


def test_buckets_of_an_epoch_hold_one_atom_count_but_for_the_edges() -> None:
    num_atoms = np.random.default_rng(0).integers(1, 11, 2000)
    made = list(batches(num_atoms, LoopSettings(epochs=2, batch_size=16, bucket="epoch"), 0))
    epochs = [[rows for step, rows in made if step // 125 == epoch] for epoch in (0, 1)]
    assert [len(np.unique(np.concatenate(rows))) for rows in epochs] == [2000, 2000]
    for rows in epochs:
        assert sum(len(np.unique(num_atoms[batch])) > 1 for batch in rows) < 10  # one at each edge
    sizes = np.array([num_atoms[rows].mean() for rows in epochs[0]])
    assert abs(np.corrcoef(sizes, np.arange(125))[0, 1]) < 0.5
    assert {tuple(sorted(rows)) for rows in epochs[0]}.isdisjoint(tuple(sorted(rows)) for rows in epochs[1])


def test_a_folder_is_not_continued_with_other_settings(salts: Path, tmp_path: Path) -> None:
    run_autoencoder(run_of(salts, epochs=1), tmp_path)
    with pytest.raises(FailedPreconditionError, match=r"loop\.epochs was 1 and is 2 now.*choose another"):
        run_autoencoder(run_of(salts, epochs=2), tmp_path)
    run_autoencoder(run_of(salts, epochs=1, checkpoint_every=7, pieces=2), tmp_path)


def test_resume_needs_something_to_go_on_with(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pretrain", "autoencoder", "--resume", "--out", str(tmp_path)]) == 1
    assert "holds no training" in capsys.readouterr().err
    assert main(["pretrain", "autoencoder", "--out", str(tmp_path)]) == 1
    assert "--resume" in capsys.readouterr().err


def test_a_device_that_is_not_there_is_named(
    salts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "run.toml"
    config.write_text(CONFIG.format(data=salts, epochs=1))
    command = ["pretrain", "autoencoder", str(config), "--out", str(tmp_path / "a"), "--device"]
    assert main([*command, "cuda:99"]) == 1
    assert "'cuda:99'" in capsys.readouterr().err
    assert main([*command, "abacus"]) == 1
    assert "'abacus' is no torch device" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_compiled_blocks_train_alike(salts: Path, tmp_path: Path) -> None:
    plain = weights(run_autoencoder(run_of(salts, epochs=2), tmp_path / "plain"))
    compiled = weights(run_autoencoder(run_of(salts, epochs=2, compile=True), tmp_path / "compiled"))
    for name, value in plain.items():
        torch.testing.assert_close(compiled[name], value, rtol=1e-3, atol=1e-4, msg=name)
