"""A small finisher that was trained for a moment: everything but the quality is real."""

from pathlib import Path

import torch

from generator_svc.storage.tensors import read_tensors, save_tensors
from tests.salts import write_salts
from xenolith.cli import main

CONFIG = """
[data]
path = "{data}"
[loop]
epochs = 2
batch_size = 4
threads = 1
[model]
width = 16
layers = 1
heads = 2
channels = 4
radial = 6
max_atomic_number = {heaviest}
"""


def trained_finisher(folder: Path, heaviest: int = 100) -> Path:
    """Folder of a short training, its weights then shaken so that the network does something."""
    config, out = folder / f"run{heaviest}.toml", folder / f"finisher{heaviest}"
    config.write_text(CONFIG.format(data=write_salts(folder / "salts.parquet"), heaviest=heaviest))
    assert main(["pretrain", "finisher", str(config), "--out", str(out)]) == 0
    weights = read_tensors(out / "finisher.safetensors")
    torch.manual_seed(0)
    shaken = {name: value + 0.1 * torch.randn_like(value) for name, value in weights.items()}
    save_tensors(out / "finisher.safetensors", shaken)
    return out
