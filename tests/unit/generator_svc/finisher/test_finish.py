"""Taking noise off: it undoes what was put on, crystal by crystal, and leaves alone what is no crystal."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor, nn

from generator_svc.finisher.finish import finish, noise_levels
from generator_svc.finisher.network import Finisher, FinisherConfig
from generator_svc.finisher.noise import SMALLEST_NOISE, add_noise, displace
from generator_svc.networks.autoencoder import CrystalTensors
from generator_svc.networks.ragged import Ragged
from tests.tiny_bundle import crystal_table


@pytest.fixture(scope="module")
def network() -> Finisher:
    torch.manual_seed(0)
    made = Finisher(FinisherConfig(width=16, layers=1, heads=2, channels=4, radial=5))
    for parameter in made.parameters():
        nn.init.normal_(parameter, std=0.1)
    return made.eval().requires_grad_(False)


def same(ours: CrystalTensors, theirs: CrystalTensors) -> None:
    torch.testing.assert_close(ours.lattice, theirs.lattice, rtol=1e-4, atol=1e-4)
    apart = ours.frac_coords - theirs.frac_coords
    assert (apart - apart.round()).abs().max() < 1e-4


def test_levels_fall_geometrically_from_start_to_zero() -> None:
    levels = noise_levels(0.8, 16)
    assert len(levels) == 17
    assert levels[0] == pytest.approx(0.8)
    assert levels[15] == pytest.approx(SMALLEST_NOISE)
    assert levels[16] == 0
    ratios = [after / now for now, after in itertools.pairwise(levels[:16])]
    assert ratios == pytest.approx([ratios[0]] * 15)
    assert noise_levels(0.5, 1) == pytest.approx([0.5, 0.0])


def test_noise_can_be_taken_off_again() -> None:
    torch.manual_seed(1)
    frac, lattice = torch.rand(5, 3, 3), torch.eye(3) * 4 + torch.randn(5, 3, 3) * 0.3
    amount = torch.linspace(0.1, 1.5, 5)
    noisy = add_noise(frac, lattice, amount)
    back, cells = displace(noisy.frac_coords, noisy.lattice, noisy.positions, noisy.cell, -amount)
    torch.testing.assert_close(cells, lattice, rtol=1e-4, atol=1e-4)
    moved = (noisy.frac_coords - frac) @ noisy.lattice
    torch.testing.assert_close(moved, amount[:, None, None] * noisy.positions, rtol=1e-3, atol=1e-4)
    # Positions are taken off in the strained cell: exact without strain, and up to its size with it.
    undone = ((back - frac) @ lattice).norm(dim=-1)
    assert (undone <= amount[:, None] * noisy.positions.norm(dim=-1) * (0.12 * amount[:, None] * 10)).all()


def test_noise_has_its_standard_deviation() -> None:
    torch.manual_seed(0)
    frac, lattice = torch.rand(2000, 4, 3), 5 * torch.eye(3).expand(2000, 3, 3)
    noisy = add_noise(frac, lattice, torch.full((2000,), 0.3))
    moved = (noisy.frac_coords - frac) @ noisy.lattice
    # Four atoms without their mean: the variance of each is three quarters.
    assert moved.std().item() == pytest.approx(0.3 * math.sqrt(0.75), rel=0.03)
    volume = torch.linalg.det(noisy.lattice) / 125
    assert volume.log().std().item() == pytest.approx(0.12 * 0.3 * math.sqrt(3), rel=0.05)


class Knows(nn.Module):
    """Stands for a perfect network: it knows where the atoms of a rigid cell belong."""

    def __init__(self, frac: Tensor) -> None:
        super().__init__()
        self.frac = frac

    def forward(self, numbers: Tensor, frac: Tensor, lattice: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        apart = frac - self.frac
        return (apart - apart.round()) @ lattice / noise[:, None, None], torch.zeros_like(lattice)


def test_a_perfect_network_leads_every_atom_home() -> None:
    torch.manual_seed(2)
    crystals = crystal_table(size=1, seed=4).tensors()
    home = crystals.frac_coords
    moved = CrystalTensors(
        ragged=crystals.ragged,
        numbers=crystals.numbers,
        frac_coords=home + 0.05 * torch.randn_like(home),
        lattice=crystals.lattice,
    )
    finished = finish(Knows(home), moved, noise_levels(0.5, 6))  # type: ignore[arg-type]
    apart = finished.frac_coords - home
    assert (apart - apart.round()).abs().max() < 1e-5


def test_a_crystal_does_not_depend_on_its_batch(network: Finisher) -> None:
    table = crystal_table(size=12, seed=1)
    whole = finish(network, table.tensors(), noise_levels(0.5, 4))
    assert (whole.frac_coords - table.tensors().frac_coords).abs().max() > 1e-3
    again = finish(network, table.tensors(), noise_levels(0.5, 4))
    assert torch.equal(whole.frac_coords, again.frac_coords)
    assert torch.equal(whole.lattice, again.lattice)
    starts = table.offsets
    for index in range(len(table)):
        alone = finish(network, table.take(torch.tensor([index]).numpy()).tensors(), noise_levels(0.5, 4))
        atoms = slice(int(starts[index]), int(starts[index + 1]))
        same(
            alone,
            CrystalTensors(
                ragged=alone.ragged,
                numbers=whole.numbers[atoms],
                frac_coords=whole.frac_coords[atoms],
                lattice=whole.lattice[index : index + 1],
            ),
        )


@pytest.mark.parametrize(
    "cell",
    [
        torch.full((3, 3), float("nan")),
        torch.zeros(3, 3),
        torch.tensor([[4.0, 0, 0], [8.0, 1e-5, 0], [0, 0, 4.0]]),
        0.3 * torch.eye(3),
        1e20 * torch.eye(3),
    ],
    ids=["nan", "zero", "flat", "dense", "huge"],
)
def test_what_is_no_crystal_stays_as_it_is_beside_others(network: Finisher, cell: Tensor) -> None:
    lattice = torch.stack([4 * torch.eye(3), cell, 5 * torch.eye(3)])
    torch.manual_seed(0)
    crystals = CrystalTensors(
        ragged=Ragged(torch.tensor([2, 2, 2])),
        numbers=torch.tensor([11, 17, 12, 8, 3, 9]),
        frac_coords=torch.rand(6, 3),
        lattice=lattice,
    )
    finished = finish(network, crystals, noise_levels(0.3, 3))
    assert finished.frac_coords.isfinite().all()
    torch.testing.assert_close(finished.frac_coords[2:4], crystals.frac_coords[2:4])
    torch.testing.assert_close(finished.lattice[1], cell, equal_nan=True)
    assert not torch.equal(finished.frac_coords[:2], crystals.frac_coords[:2])
    assert not torch.equal(finished.lattice[2], lattice[2])
