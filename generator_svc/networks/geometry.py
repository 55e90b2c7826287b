"""Periodic geometry the networks see: cells as logarithms of their metric, coordinates as phases.

A cell with row vectors L has the metric tensor G = L L^T, symmetric and positive definite. Its matrix
logarithm is any symmetric matrix, so six free numbers always decode to a cell that exists; raw lengths
and angles do not have that property. The metric does not depend on the cell's orientation.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import torch
from torch import Tensor

__all__ = [
    "exact",
    "features_to_metric",
    "lattice_to_metric",
    "lengths",
    "metric_to_features",
    "metric_to_lattice",
    "minimum_image",
    "phases",
    "phases_to_frac",
    "radial_basis",
]

_ROWS = (0, 1, 2, 0, 0, 1)
_COLUMNS = (0, 1, 2, 1, 2, 2)
# Bounds on log(G / N^(2/3)), G in Angstrom^2: on the mean of its eigenvalues, which is the volume, and on
# the norm of what is left, which is the shape. The longest cell of MP-20 (3.2 x 3.2 x 46.7 Angstrom) has a
# norm of 4.55; latents far outside the training range decode to a finite cell at the bounds.
_LOG_VOLUME_MIN, _LOG_VOLUME_MAX = -1.5, 7.5
_LOG_SHAPE_MAX = 5.0
_IMAGES = tuple(itertools.product((-1.0, 0.0, 1.0), repeat=3))

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def exact(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Keep a function's matrix products in the precision of its arguments under autocast.

    In bfloat16 a distance of 3 Angstrom would be wrong by up to 0.01, more than what the networks learn.
    """

    @functools.wraps(function)
    def plain(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        device = next(value.device.type for value in args if isinstance(value, Tensor))
        with torch.autocast(device, enabled=False):
            return function(*args, **kwargs)

    return plain


@exact
def lattice_to_metric(lattice: Tensor) -> Tensor:
    """(B, 3, 3) row vectors, Angstrom, to metric tensors (B, 3, 3), Angstrom^2."""
    return lattice @ lattice.transpose(1, 2)


@exact
def lengths(displacement: Tensor, metric: Tensor) -> Tensor:
    """(B, M, M, 3) fractional displacements and (B, 3, 3) metric, Angstrom^2, to (B, M, M) Angstrom."""
    square = ((displacement @ metric[:, None]) * displacement).sum(-1)
    return square.clamp_min(1e-6).sqrt()


@exact
def metric_to_features(lattice: Tensor, num_atoms: Tensor) -> Tensor:
    """Six numbers of log(G / N^(2/3)) for each cell.

    Parameters
    ----------
    lattice
        (B, 3, 3) row vectors, Angstrom.
    num_atoms
        (B,) atom counts.

    Returns
    -------
    (B, 6): diagonal xx, yy, zz, then xy, xz, yz.
    """
    metric = lattice_to_metric(lattice)
    metric = metric / num_atoms.to(metric.dtype).pow(2 / 3)[:, None, None]
    values, vectors = torch.linalg.eigh(metric.double())
    log = vectors @ torch.diag_embed(values.clamp_min(1e-12).log()) @ vectors.transpose(1, 2)
    return log[:, _ROWS, _COLUMNS].to(lattice.dtype)


@exact
def features_to_metric(features: Tensor, num_atoms: Tensor) -> Tensor:
    """Inverse of `metric_to_features`: (B, 6) to the metric tensor (B, 3, 3) in Angstrom^2.

    Any finite input gives a positive definite metric. Differentiable everywhere, also for degenerate
    eigenvalues (cubic cells), because the matrix exponential is used and no eigenvectors.
    """
    log = _symmetric(features)
    shift = log.diagonal(dim1=1, dim2=2).mean(dim=1)
    deviator = log - torch.diag_embed(shift[:, None].expand(-1, 3))
    shift = shift.clamp(_LOG_VOLUME_MIN, _LOG_VOLUME_MAX)
    norm = deviator.flatten(1).norm(dim=1).clamp_min(1e-12)
    deviator = deviator * (norm.clamp_max(_LOG_SHAPE_MAX) / norm)[:, None, None]
    scale = num_atoms.to(features.dtype).pow(2 / 3) * shift.exp()
    return torch.matrix_exp(deviator) * scale[:, None, None]


@exact
def metric_to_lattice(metric: Tensor) -> Tensor:
    """Lower-triangular row vectors (B, 3, 3), right-handed, with L L^T equal to the metric."""
    return torch.linalg.cholesky(metric.double()).to(metric.dtype)


def _symmetric(features: Tensor) -> Tensor:
    matrix = features.new_zeros(features.shape[0], 3, 3)
    matrix[:, _ROWS, _COLUMNS] = features
    matrix[:, _COLUMNS, _ROWS] = features
    return matrix


def phases(frac_coords: Tensor) -> Tensor:
    """(T, 3) fractional coordinates to (T, 6): cos then sin of 2 pi f."""
    angle = 2 * math.pi * frac_coords
    return torch.cat([angle.cos(), angle.sin()], dim=-1)


def phases_to_frac(phase: Tensor) -> Tensor:
    """Inverse of `phases` for any finite (T, 6), in [0, 1)."""
    cosine, sine = phase.chunk(2, dim=-1)
    return torch.remainder(torch.atan2(sine, cosine) / (2 * math.pi), 1.0)


@exact
def minimum_image(frac_padded: Tensor, metric: Tensor) -> tuple[Tensor, Tensor]:
    """Shortest displacement of every pair among the 27 nearest images.

    Parameters
    ----------
    frac_padded
        (B, M, 3) fractional coordinates.
    metric
        (B, 3, 3) Angstrom^2.

    Returns
    -------
    displacement
        (B, M, M, 3) fractional, from i to j; for i = j the shortest is zero.
    distance
        (B, M, M) Angstrom.
    """
    difference = frac_padded[:, None, :, :] - frac_padded[:, :, None, :]
    difference = difference - difference.round()
    images = torch.tensor(_IMAGES, dtype=metric.dtype, device=metric.device)
    # |d + n|^2 = d G d + 2 n G d + n G n, so the 27 candidates cost one small matrix product.
    projected = difference @ metric[:, None]
    square = (projected * difference).sum(-1)
    cross = projected @ images.T
    # Two factors at a time: of three, torch.einsum takes another order where opt_einsum is installed, with
    # other last digits.
    self_term = torch.einsum("bky,ky->bk", torch.einsum("kx,bxy->bky", images, metric), images)
    candidates = square[..., None] + 2 * cross + self_term[:, None, None, :]
    shortest, choice = candidates.min(dim=-1)
    return difference + images[choice], shortest.clamp_min(0).sqrt()


def radial_basis(distance: Tensor, size: int, cutoff: float) -> Tensor:
    """Gaussians of the distance (..., size), evenly spaced on [0, cutoff] Angstrom."""
    centres = torch.linspace(0, cutoff, size, dtype=distance.dtype, device=distance.device)
    width = cutoff / size
    return torch.exp(-(((distance[..., None] - centres) / width) ** 2) / 2)
