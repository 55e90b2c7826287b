"""Cells and distances the networks see."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pymatgen.core import Lattice

from generator_svc.data.table import cells_from_parameters, niggli_cell
from generator_svc.networks import geometry
from tests.tiny_bundle import crystal_table


def test_metric_features_are_inverted() -> None:
    crystals = crystal_table().tensors()
    counts = crystals.ragged.num_atoms
    metric = crystals.lattice @ crystals.lattice.transpose(1, 2)
    back = geometry.features_to_metric(geometry.metric_to_features(crystals.lattice, counts), counts)
    torch.testing.assert_close(back, metric, rtol=1e-4, atol=1e-4)


def test_the_longest_cell_of_the_data_is_inverted() -> None:
    lattice = torch.diag(torch.tensor([3.219, 3.219, 46.74]))[None]  # mp-770433
    counts = torch.tensor([16])
    back = geometry.features_to_metric(geometry.metric_to_features(lattice, counts), counts)
    torch.testing.assert_close(back, lattice @ lattice, rtol=1e-4, atol=1e-4)


def test_lattice_of_a_metric_has_that_metric_and_is_right_handed() -> None:
    crystals = crystal_table().tensors()
    metric = crystals.lattice @ crystals.lattice.transpose(1, 2)
    lattice = geometry.metric_to_lattice(metric)
    torch.testing.assert_close(lattice @ lattice.transpose(1, 2), metric, rtol=1e-4, atol=1e-4)
    assert (torch.linalg.det(lattice) > 0).all()


@pytest.mark.parametrize("scale", [1.0, 10.0, 1e3, 1e6])
def test_any_six_numbers_are_a_valid_cell(scale: float) -> None:
    features = torch.randn(2000, 6, generator=torch.Generator().manual_seed(0)) * scale
    counts = torch.randint(1, 21, (2000,), generator=torch.Generator().manual_seed(1))
    lattice = geometry.metric_to_lattice(geometry.features_to_metric(features, counts))
    assert torch.isfinite(lattice).all()
    volume = torch.linalg.det(lattice.double())
    assert (volume > 0).all()


def test_metric_gradient_is_finite_for_cubic_cells() -> None:
    features = torch.zeros(1, 6, requires_grad=True)
    geometry.features_to_metric(features, torch.tensor([1])).sum().backward()
    assert torch.isfinite(features.grad).all()


def test_minimum_image_agrees_with_pymatgen() -> None:
    lattice = Lattice.from_parameters(4.0, 5.0, 6.5, 80, 95, 110)
    frac = np.random.default_rng(0).random((5, 3))
    expected = lattice.get_all_distances(frac, frac)
    metric = torch.tensor(lattice.matrix @ lattice.matrix.T)[None]
    _, distance = geometry.minimum_image(torch.tensor(frac)[None], metric)
    np.testing.assert_allclose(distance[0].numpy(), expected, atol=1e-8)


@pytest.mark.skipif(not torch.backends.opt_einsum.is_available(), reason="opt_einsum is not installed")
def test_distances_are_the_same_to_the_last_bit_where_opt_einsum_is_installed() -> None:
    cells = torch.rand(64, 3, 3, generator=torch.Generator().manual_seed(0)) * 5
    frac, metric = (
        cells.new_tensor(np.random.default_rng(0).random((64, 20, 3))),
        cells @ cells.transpose(1, 2),
    )
    with torch.backends.opt_einsum.flags(enabled=True, strategy="auto"):
        _, ordered = geometry.minimum_image(frac, metric)
    with torch.backends.opt_einsum.flags(enabled=False, strategy=None):
        _, plain = geometry.minimum_image(frac, metric)
    assert torch.equal(ordered, plain)


def test_phases_are_inverted_across_the_boundary() -> None:
    frac = torch.tensor([[0.999999, 0.0, 0.5]])
    back = geometry.phases_to_frac(geometry.phases(frac))
    difference = back - frac
    assert (difference - difference.round()).abs().max() < 1e-5


def test_cells_from_parameters_agree_with_pymatgen() -> None:
    parameters = [4.0, 5.0, 6.5, 80.0, 95.0, 110.0]
    expected = Lattice.from_parameters(*parameters).matrix
    np.testing.assert_allclose(cells_from_parameters(np.array([parameters]))[0], expected, atol=1e-10)


def test_niggli_cell_keeps_positions() -> None:
    cell = np.array([[4.0, 0, 0], [9.0, 4.1, 0], [0.3, 0.1, 5.0]])
    frac = np.array([[0.1, 0.2, 0.3], [0.6, 0.9, 0.1]])
    reduced, coords = niggli_cell(cell, frac)
    assert np.linalg.det(reduced) > 0
    moved = (coords @ reduced - frac @ cell) @ np.linalg.inv(cell)
    np.testing.assert_allclose(moved, np.round(moved), atol=1e-9)
