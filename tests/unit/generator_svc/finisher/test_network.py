"""The finisher's symmetries hold exactly, and what atoms see is what a sum over all images gives."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from generator_svc.finisher.network import Finisher, FinisherConfig
from generator_svc.finisher.surroundings import harmonics, radial_functions, surroundings

CUTOFF, RADIAL = 6.0, 5


def crystals(size: int = 3, atoms: int = 4, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Atomic numbers (B, N), coordinates (B, N, 3) and skewed cells (B, 3, 3)."""
    draw = np.random.default_rng(seed)
    cells = np.eye(3) * draw.uniform(3, 6, (size, 1, 3)) + draw.normal(0, 0.6, (size, 3, 3))
    numbers = torch.from_numpy(draw.choice([8, 11, 22, 38], (size, atoms)))
    frac = torch.from_numpy(draw.random((size, atoms, 3)))
    return numbers, frac, torch.from_numpy(cells)


@pytest.fixture(scope="module")
def network() -> Finisher:
    torch.manual_seed(0)
    made = Finisher(FinisherConfig(width=16, layers=2, heads=2, channels=4, radial=RADIAL)).double()
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return made.eval().requires_grad_(False)


NOISE = torch.tensor([0.05, 0.3, 1.5], dtype=torch.float64)


def test_noise_turns_with_the_crystal(network: Finisher) -> None:
    numbers, frac, cells = crystals()
    turn = torch.from_numpy(Rotation.random(random_state=3).as_matrix())
    positions, strain = network(numbers, frac, cells, NOISE)
    turned_positions, turned_strain = network(numbers, frac, cells @ turn.T, NOISE)
    torch.testing.assert_close(turned_positions, positions @ turn.T)
    torch.testing.assert_close(turned_strain, turn @ strain @ turn.T)
    torch.testing.assert_close(strain, strain.transpose(1, 2))
    assert positions.abs().min() > 0 and strain.abs().min() > 0


def test_noise_of_a_mirrored_crystal_is_mirrored(network: Finisher) -> None:
    numbers, frac, cells = crystals()
    mirror = torch.diag(torch.tensor([1.0, 1.0, -1.0], dtype=torch.float64))
    positions, strain = network(numbers, frac, cells, NOISE)
    mirrored, mirrored_strain = network(numbers, frac, cells @ mirror, NOISE)
    torch.testing.assert_close(mirrored, positions @ mirror)
    torch.testing.assert_close(mirrored_strain, mirror @ strain @ mirror)


def test_origin_and_choice_of_images_do_not_matter(network: Finisher) -> None:
    numbers, frac, cells = crystals()
    elsewhere = frac + 0.37 + torch.randint(-2, 3, frac.shape)
    for one, other in zip(
        network(numbers, frac, cells, NOISE), network(numbers, elsewhere, cells, NOISE), strict=True
    ):
        torch.testing.assert_close(one, other)


def test_choice_of_the_cell_does_not_matter(network: Finisher) -> None:
    """The same lattice has many cells; integer combinations of its vectors describe the same crystal."""
    numbers, frac, cells = crystals()
    change = torch.tensor([[1.0, 1.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64)
    other = network(numbers, frac @ torch.linalg.inv(change), change @ cells, NOISE)
    for ours, theirs in zip(network(numbers, frac, cells, NOISE), other, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_order_of_atoms_does_not_matter(network: Finisher) -> None:
    numbers, frac, cells = crystals()
    order = torch.tensor([2, 0, 3, 1])
    positions, strain = network(numbers, frac, cells, NOISE)
    permuted, same = network(numbers[:, order], frac[:, order], cells, NOISE)
    torch.testing.assert_close(permuted, positions[:, order])
    torch.testing.assert_close(same, strain)


def test_elements_and_noise_matter(network: Finisher) -> None:
    numbers, frac, cells = crystals()
    positions, _ = network(numbers, frac, cells, NOISE)
    swapped, _ = network(numbers.flip(1), frac, cells, NOISE)
    quieter, _ = network(numbers, frac, cells, NOISE / 2)
    assert (swapped - positions).abs().max() > 1e-3
    assert (quieter - positions).abs().max() > 1e-3


def test_one_atom_does_not_move(network: Finisher) -> None:
    numbers, frac, cells = crystals(atoms=1)
    positions, strain = network(numbers, frac, cells, NOISE)
    assert positions.abs().max() < 1e-12
    assert strain.abs().max() > 0


def test_half_precision_says_nearly_the_same(network: Finisher) -> None:
    numbers, frac, cells = crystals()
    small = Finisher(network.config)
    small.load_state_dict(network.state_dict())
    given = (numbers, frac.float(), cells.float(), NOISE.float())
    plain, _ = small(*given)
    with torch.autocast("cpu", torch.bfloat16):
        rough, _ = small(*given)
    assert rough.dtype == torch.float32
    assert (rough - plain).abs().max() < 0.1 * plain.abs().max()


def test_sums_are_those_over_all_images() -> None:
    _, frac, cells = crystals(size=2, atoms=3, seed=5)
    found = surroundings(frac, cells, radial=RADIAL, cutoff=CUTOFF)
    shifts = torch.tensor(list(itertools.product(range(-4, 5), repeat=3)), dtype=torch.float64)
    for crystal, i, j in itertools.product(range(2), range(3), range(3)):
        vectors = (frac[crystal, j] - frac[crystal, i] + shifts) @ cells[crystal]
        lengths = vectors.norm(dim=1, keepdim=True)
        near = ((lengths < CUTOFF) & (lengths > 0.01)).squeeze(1)
        vectors, lengths = vectors[near], lengths[near]
        shells = radial_functions(lengths, RADIAL, CUTOFF)
        expected = torch.einsum("em,ek->mk", harmonics(vectors / lengths), shells)
        torch.testing.assert_close(found[crystal, j, i], expected)


def test_a_supercell_sees_what_its_cell_sees() -> None:
    _, frac, cells = crystals(size=1, atoms=2, seed=7)
    double = torch.diag(torch.tensor([2.0, 1.0, 1.0], dtype=torch.float64))
    half = torch.tensor([0.5, 0.0, 0.0], dtype=torch.float64)
    shrunk = frac @ torch.linalg.inv(double)
    once = surroundings(frac, cells, radial=RADIAL, cutoff=CUTOFF)
    twice = surroundings(
        torch.cat([shrunk, shrunk + half], dim=1), double @ cells, radial=RADIAL, cutoff=CUTOFF
    )
    torch.testing.assert_close(twice[:, :2, :2] + twice[:, 2:, :2], once)


def test_neighbours_far_outside_see_nothing_of_each_other() -> None:
    frac = torch.tensor([[[0.0, 0.0, 0.0], [0.5, 0.5, 0.5]]])
    assert surroundings(frac, 30 * torch.eye(3)[None], radial=RADIAL, cutoff=CUTOFF).abs().max() == 0
