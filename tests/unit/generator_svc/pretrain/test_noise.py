"""Latent noise of the autoencoder's training is relative to the latents, and so is its gradient."""

from __future__ import annotations

import torch

from generator_svc.data.table import CrystalTable
from generator_svc.pretrain.autoencoder import AutoencoderTask
from generator_svc.storage.run_settings import AutoencoderRun
from tests.tiny_bundle import crystal_table


class Task(AutoencoderTask):
    """The noise alone, without data on disk."""

    def __init__(self, max_scale: float) -> None:
        self.run = AutoencoderRun.model_validate({"data": {"path": "-"}, "noise": {"max_scale": max_scale}})
        self.device = torch.device("cpu")


def noise(table: CrystalTable, mean: torch.Tensor, max_scale: float) -> torch.Tensor:
    torch.manual_seed(0)
    return Task(max_scale)._noise(mean, torch.full_like(mean, -40.0), table.tensors())


def test_noise_grows_with_the_latents():
    table = crystal_table()
    mean = torch.randn(len(table.numbers), 8)
    torch.testing.assert_close(
        noise(table, 10 * mean, 0.3), 10 * noise(table, mean, 0.3), rtol=1e-4, atol=1e-4
    )


def test_larger_latents_are_not_rewarded():
    """With latents scaled by s, (latent + noise) / s stays the same, and its derivative in s is zero."""
    table = crystal_table()
    mean = torch.randn(len(table.numbers), 8)
    scale = torch.ones((), requires_grad=True)
    scaled = scale * mean
    seen = (scaled + noise(table, scaled, 0.3)) / scale
    (gradient,) = torch.autograd.grad(seen.square().sum(), scale)
    assert abs(gradient.item()) < 1e-3 * seen.square().sum().item()
