"""A small generator bundle with random weights: everything but the quality is real."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from generator_svc.data.table import CrystalTable
from generator_svc.networks.autoencoder import Autoencoder, AutoencoderConfig
from generator_svc.networks.conditions import ConditionsConfig
from generator_svc.networks.denoiser import Denoiser, DenoiserConfig
from generator_svc.storage.bundle import write_bundle
from xenolith.bundle import Bundle


def crystal_table(size: int = 40, max_atoms: int = 6, seed: int = 0) -> CrystalTable:
    """Random but physical-looking crystals on nearly cubic cells."""
    draw = np.random.default_rng(seed)
    counts = draw.integers(1, max_atoms + 1, size).astype(np.int64)
    cells = np.eye(3) * (4 + draw.random((size, 1, 1)) * 2) + draw.normal(0, 0.1, (size, 3, 3))
    return CrystalTable(
        ids=np.arange(size).astype(str),
        num_atoms=counts,
        lattices=cells.astype(np.float32),
        numbers=draw.choice([8, 11, 12, 14, 17], counts.sum()).astype(np.int64),
        frac_coords=draw.random((counts.sum(), 3)).astype(np.float32),
    )


def make_tiny_bundle(
    folder: Path,
    max_atoms: int = 6,
    conditions: ConditionsConfig | None = None,
    table: CrystalTable | None = None,
) -> Bundle:
    """Write a bundle of two tiny networks, from a fixed seed; `table` gives prior and elements."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        autoencoder = Autoencoder(
            AutoencoderConfig(width=16, heads=2, encoder_layers=1, decoder_layers=1, refine_layers=1)
        )
        autoencoder.cell_mean.copy_(torch.tensor([1.7, 1.9, 2.4, 0.0, 0.0, 0.0]))
        autoencoder.cell_std.fill_(0.3)
        denoiser = Denoiser(
            DenoiserConfig(width=16, heads=2, layers=2, max_atoms=max_atoms, conditions=conditions)
        )
        for last in (denoiser.out, denoiser.modulation):
            torch.nn.init.normal_(last.weight, std=0.1)
        for parameter in () if denoiser.conditions is None else denoiser.conditions.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
    latents = {"mean": [0.0] * 8, "std": [1.0] * 8}
    table = table or crystal_table(max_atoms=max_atoms)
    return write_bundle(folder, "tiny", autoencoder, denoiser, latents, table)
