"""Pretraining of the finisher from crystals to weights, by epochs and by the clock."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from generator_svc.finisher.network import Finisher
from generator_svc.pretrain.clock import Clock
from generator_svc.pretrain.finisher import FinisherTask, run_finisher
from generator_svc.pretrain.loop import learning_rate
from generator_svc.storage.run_settings import FinisherRun, LoopSettings
from generator_svc.storage.tensors import load_weights
from tests.salts import write_salts
from xenolith.cli import main
from xenolith.errors import FailedPreconditionError
from xenolith.files import read_json

CONFIG = """
[data]
path = "{data}"
[noise]
largest = 2.0
[loop]
epochs = 4
batch_size = 4
learning_rate = 5e-3
warmup_steps = 2
checkpoint_every = 2
bucket = true
threads = 1
{loop}
[model]
width = 16
layers = 1
heads = 2
channels = 4
radial = 6
"""


@pytest.fixture(scope="module")
def salts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_salts(tmp_path_factory.mktemp("data") / "salts.parquet")


def config(folder: Path, salts: Path, loop: str = "") -> str:
    file = folder / "run.toml"
    file.write_text(CONFIG.format(data=salts, loop=loop))
    return str(file)


def test_the_command_trains_and_goes_on_in_the_same_weights(
    salts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, parts, file = tmp_path / "whole", tmp_path / "parts", config(tmp_path, salts)
    assert main(["pretrain", "finisher", file, "--out", str(whole)]) == 0
    loss = FinisherTask.loss

    def killed(self: FinisherTask, rows: object, step: int) -> object:
        if step == 3:
            raise KeyboardInterrupt
        return loss(self, rows, step)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(FinisherTask, "loss", killed)
        assert main(["pretrain", "finisher", file, "--out", str(parts)]) == 130
    assert main(["pretrain", "finisher", "--resume", "--out", str(parts)]) == 0
    found, expected = (load_file(folder / "finisher.safetensors") for folder in (parts, whole))
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], value) for name, value in expected.items())
    figures = read_json(whole / "validation.json")
    assert {"positions", "cell", "positions_0.05_0.1"} <= figures.keys()


def test_it_learns(salts: Path, tmp_path: Path) -> None:
    loop = {"epochs": 150, "batch_size": 4, "learning_rate": 5e-3, "warmup_steps": 5, "ema_decay": 0.9}
    model = {"width": 16, "layers": 1, "heads": 2, "channels": 4, "radial": 8}
    data = {"path": str(salts), "validation_split": "train"}
    run = FinisherRun.model_validate({"data": data, "loop": {**loop, "validate_every": 150}, "model": model})
    before = FinisherTask(run)
    untrained = before.validate(before.model)
    run_finisher(run, tmp_path)
    trained = Finisher(run.model)
    load_weights(trained, tmp_path / "finisher.safetensors")
    figures = before.validate(trained.eval())
    assert figures["positions"] < 0.8 * untrained["positions"]
    assert figures["cell"] < 0.9 * untrained["cell"]


def test_a_training_by_the_clock_ends_by_it_and_stays_ended(salts: Path, tmp_path: Path) -> None:
    folder, file = tmp_path / "clocked", config(tmp_path, salts)
    command = ["pretrain", "finisher", file, "--minutes", "0.02", "--out", str(folder)]
    assert main(command) == 0
    state = load_file(folder / "training.safetensors")
    assert float(state["seconds"]) >= 1.2
    assert int(state["step"]) > 4  # no limit of epochs
    weights = (folder / "finisher.safetensors").read_bytes()
    assert main(command) == 0
    assert int(load_file(folder / "training.safetensors")["step"]) == int(state["step"])
    assert (folder / "finisher.safetensors").read_bytes() == weights


def test_other_minutes_are_another_training(salts: Path, tmp_path: Path) -> None:
    folder, file = tmp_path / "run", config(tmp_path, salts)
    assert main(["pretrain", "finisher", file, "--minutes", "0.01", "--out", str(folder)]) == 0
    run = FinisherRun.model_validate(read_json(folder / "run.json"))
    assert run.loop.minutes == 0.01
    longer = run.model_copy(update={"loop": run.loop.model_copy(update={"minutes": 5.0})})
    with pytest.raises(FailedPreconditionError, match=r"loop\.minutes was 0\.01"):
        run_finisher(longer, folder)


def test_a_width_that_heads_do_not_share_is_refused(
    salts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "wrong.toml"
    file.write_text(Path(config(tmp_path, salts)).read_text().replace("channels = 4", "channels = 5"))
    assert main(["pretrain", "finisher", str(file), "--out", str(tmp_path / "out")]) == 1
    assert "channels (5) must be a multiple of heads (2)" in capsys.readouterr().err


def test_the_learning_rate_follows_the_clock() -> None:
    settings = LoopSettings(minutes=3, learning_rate=1.0, warmup_steps=10)
    assert learning_rate(4, 0.0, settings) == pytest.approx(0.5)
    assert learning_rate(500, 0.5, settings) == pytest.approx(0.505)
    assert learning_rate(500, 1.0, settings) == pytest.approx(0.01)


def test_a_clock_counts_on_from_earlier_sittings() -> None:
    clock = Clock(100.0)
    first = clock.seconds()
    assert first >= 100
    assert clock.seconds() >= first
