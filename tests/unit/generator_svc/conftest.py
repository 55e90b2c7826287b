"""Networks for the generator's tests."""

from __future__ import annotations

import pytest
import torch

from generator_svc.networks.denoiser import Denoiser, DenoiserConfig


@pytest.fixture(scope="module")
def denoiser() -> Denoiser:
    """Small, and every weight counts."""
    torch.manual_seed(0)
    model = Denoiser(DenoiserConfig(width=16, heads=2, layers=2))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return model.eval()
