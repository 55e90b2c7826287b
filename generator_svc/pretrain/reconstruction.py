"""Losses of the autoencoder: how far a reading of the latents is from the crystal."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from generator_svc.networks import geometry
from generator_svc.networks.autoencoder import Autoencoder, CrystalTensors, Decoded
from generator_svc.networks.ragged import Ragged

__all__ = ["distance_loss", "reconstruction_terms"]


def reconstruction_terms(
    model: Autoencoder, decoded: Decoded, crystals: CrystalTensors, cell: Tensor
) -> dict[str, Tensor]:
    """Loss terms of one decoder stage, each a scalar."""
    ragged = crystals.ragged
    return {
        "elements": F.cross_entropy(decoded.logits.float(), crystals.numbers - 1),
        "cell": F.mse_loss(decoded.cell.float(), cell),
        "coordinates": F.mse_loss(decoded.phase.float(), geometry.phases(crystals.frac_coords)),
        "distances": distance_loss(model, decoded, crystals, ragged),
    }


def distance_loss(model: Autoencoder, decoded: Decoded, crystals: CrystalTensors, ragged: Ragged) -> Tensor:
    """Error of pair distances, in the image that is nearest in the true crystal; bonds weigh most."""
    true_metric = geometry.lattice_to_metric(crystals.lattice)
    displacement, distance = geometry.minimum_image(ragged.pad(crystals.frac_coords), true_metric)
    frac = ragged.pad(geometry.phases_to_frac(decoded.phase.float()))
    difference = frac[:, None, :, :] - frac[:, :, None, :]
    error = difference - displacement
    predicted = displacement + error - error.round()
    metric = model.metric(decoded.cell.float(), ragged)
    length = geometry.lengths(predicted, metric)
    weight = torch.exp(-((distance / 4.0) ** 2)) * (distance > 1e-3)
    weight = weight * (ragged.mask[:, :, None] & ragged.mask[:, None, :])
    return (
        weight * F.smooth_l1_loss(length, distance, beta=0.1, reduction="none")
    ).sum() / weight.sum().clamp_min(1)
