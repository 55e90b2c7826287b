"""Symmetries of the networks, and packing against padding."""

from __future__ import annotations

import pytest
import torch

from generator_svc.networks.autoencoder import Autoencoder, AutoencoderConfig, CrystalTensors
from generator_svc.networks.denoiser import Denoiser
from generator_svc.networks.ragged import Ragged
from tests.tiny_bundle import crystal_table


@pytest.fixture(scope="module")
def autoencoder() -> Autoencoder:
    torch.manual_seed(0)
    model = Autoencoder(
        AutoencoderConfig(width=16, heads=2, encoder_layers=2, decoder_layers=1, refine_layers=1)
    )
    for last in (model.decoder.refine_heads.logits, model.decoder.refine_heads.phase):
        torch.nn.init.normal_(last.weight, std=0.1)
    return model.eval()


def test_pad_and_pack_are_inverse() -> None:
    ragged = Ragged(torch.tensor([2, 5, 1]))
    packed = torch.randn(8, 3)
    torch.testing.assert_close(ragged.pack(ragged.pad(packed)), packed)
    torch.testing.assert_close(ragged.sum(packed)[1], packed[2:7].sum(0))
    torch.testing.assert_close(ragged.mean(packed)[2], packed[7])


def test_encoder_does_not_see_the_order_of_atoms(autoencoder: Autoencoder) -> None:
    crystals = crystal_table(size=1, max_atoms=6, seed=3).tensors()
    order = torch.randperm(int(crystals.ragged.num_atoms[0]), generator=torch.Generator().manual_seed(1))
    shuffled = CrystalTensors(
        crystals.ragged, crystals.numbers[order], crystals.frac_coords[order], crystals.lattice
    )
    mean, _ = autoencoder.encode(crystals)
    permuted, _ = autoencoder.encode(shuffled)
    torch.testing.assert_close(permuted, mean[order], rtol=1e-4, atol=1e-5)


def test_encoder_does_not_see_the_orientation(autoencoder: Autoencoder) -> None:
    crystals = crystal_table(size=4).tensors()
    rotation, _ = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(0)))
    rotated = CrystalTensors(
        crystals.ragged, crystals.numbers, crystals.frac_coords, crystals.lattice @ rotation
    )
    torch.testing.assert_close(
        autoencoder.encode(rotated)[0], autoencoder.encode(crystals)[0], rtol=1e-3, atol=1e-4
    )


def test_decoder_does_not_see_the_order_of_atoms(autoencoder: Autoencoder) -> None:
    latents, ragged = torch.randn(5, 8), Ragged(torch.tensor([5]))
    order = torch.tensor([3, 1, 4, 0, 2])
    plain, shuffled = autoencoder.decode(latents, ragged), autoencoder.decode(latents[order], ragged)
    torch.testing.assert_close(shuffled.frac_coords, plain.frac_coords[order], rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(shuffled.lattice, plain.lattice, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("scale", [1.0, 100.0, 1e4])
def test_wild_latents_decode_to_valid_cells(autoencoder: Autoencoder, scale: float) -> None:
    counts = torch.randint(1, 21, (200,), generator=torch.Generator().manual_seed(0))
    latents = torch.randn(int(counts.sum()), 8, generator=torch.Generator().manual_seed(1)) * scale
    decoded = autoencoder.decode(latents, Ragged(counts))
    assert torch.isfinite(decoded.lattice).all()
    assert torch.isfinite(decoded.frac_coords).all()
    assert (torch.linalg.det(decoded.lattice.double()) > 0).all()
    assert ((decoded.numbers >= 1) & (decoded.numbers <= 100)).all()


def test_denoiser_is_permutation_equivariant(denoiser: Denoiser) -> None:
    latents, ragged, order = torch.randn(4, 8), Ragged(torch.tensor([4])), torch.tensor([2, 0, 3, 1])
    plain = denoiser(latents, torch.tensor([0.3]), ragged)
    torch.testing.assert_close(denoiser(latents[order], torch.tensor([0.3]), ragged), plain[order])


def test_noise_estimate_of_a_structure_does_not_depend_on_its_batch(denoiser: Denoiser) -> None:
    latents, time = torch.randn(9, 8), torch.tensor([0.2, 0.9, 0.5])
    together = denoiser(latents, time, Ragged(torch.tensor([3, 5, 1])))
    alone = denoiser(latents[3:8], time[1:2], Ragged(torch.tensor([5])))
    torch.testing.assert_close(together[3:8], alone, rtol=1e-4, atol=1e-5)
