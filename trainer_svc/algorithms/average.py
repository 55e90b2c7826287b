"""A moving average of the trained network."""

import copy

import torch

from generator_svc.networks.denoiser import Denoiser

__all__ = ["averaged_copy", "follow"]


def averaged_copy(trained: Denoiser) -> Denoiser:
    """Begin an average where the trained network is; frozen."""
    return copy.deepcopy(trained).eval().requires_grad_(False)


@torch.no_grad()
def follow(average: Denoiser, trained: Denoiser, decay: float) -> None:
    """Move the average: ``decay`` of it stays, the rest becomes the trained network's."""
    weights = dict(average.named_parameters())
    for name, value in trained.named_parameters():
        if value.requires_grad:
            weights[name].lerp_(value, 1.0 - decay)
