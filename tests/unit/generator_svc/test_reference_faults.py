"""Faults of the reference implementation of arXiv 2511.07158 that must be impossible here, one test each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional as F

from generator_svc.conditioning import wanted_conditions
from generator_svc.diffusion.sampler import SamplerSettings, log_density, sample, transition
from generator_svc.networks import geometry
from generator_svc.networks.assignment import choose_elements
from generator_svc.networks.autoencoder import (
    Autoencoder,
    AutoencoderConfig,
    CrystalTensors,
    Decoded,
)
from generator_svc.networks.conditions import ConditionsConfig, conditions_of
from generator_svc.networks.denoiser import Denoiser, DenoiserConfig
from generator_svc.networks.ragged import Ragged
from generator_svc.networks.schedule import alpha_sigma
from generator_svc.pretrain.autoencoder import run_autoencoder, shift_origin
from generator_svc.pretrain.condition_columns import draw_kept
from generator_svc.pretrain.denoiser import run_denoiser
from generator_svc.pretrain.reconstruction import distance_loss, reconstruction_terms
from generator_svc.storage.bundle import build_bundle, load_bundle
from generator_svc.storage.run_settings import (
    AutoencoderRun,
    ConditionSettings,
    DataSettings,
    DenoiserRun,
    LoopSettings,
)
from tests.tiny_bundle import crystal_table
from xenolith.client import condition

SMALL = AutoencoderConfig(width=16, heads=2, encoder_layers=1, decoder_layers=1, refine_layers=1)


def test_fault_1_a_step_of_a_structure_sees_neither_its_batch_nor_its_padding() -> None:
    """There, the noise of atom i came from token i // 2, and the variance changed with the padding."""
    torch.manual_seed(0)
    learnt = ConditionsConfig(composition=True)
    denoiser = Denoiser(DenoiserConfig(width=16, heads=2, layers=2, conditions=learnt)).eval()
    for parameter in denoiser.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    settings = SamplerSettings(steps=8, guidance_scale=2.0)
    counts, steps = [3, 17, 1, 5], torch.tensor([0, 3, 5, 6])
    ragged = Ragged(torch.tensor(counts))
    latents, after = torch.randn(26, 8), torch.randn(26, 8)
    wanted = conditions_of(torch.randint(1, 90, (26,)), ragged, torch.empty(4, 0))
    together = transition(denoiser, latents, steps, ragged, settings, wanted)
    densities = log_density(after, together, ragged)
    start = 0
    for row, count in enumerate(counts):
        atoms, alone = slice(start, start + count), Ragged(torch.tensor([count]))
        own = wanted.take(torch.tensor([row]))
        single = transition(denoiser, latents[atoms], steps[row : row + 1], alone, settings, own)
        torch.testing.assert_close(single.mean, together.mean[atoms], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(single.std, together.std[row : row + 1])
        density = log_density(after[atoms], single, alone)
        torch.testing.assert_close(density, densities[row : row + 1], rtol=1e-4, atol=1e-4)
        # An atom's own noise goes with the atom, wherever it stands.
        order = torch.randperm(count)
        shuffled = transition(denoiser, latents[atoms][order], steps[row : row + 1], alone, settings, own)
        torch.testing.assert_close(shuffled.mean, single.mean[order], rtol=1e-4, atol=1e-5)
        start += count


def test_fault_2_averaged_weights_are_what_is_saved_and_loaded(tmp_path: Path) -> None:
    """There, the average was saved beside the weights and never loaded."""
    rows = [
        {"lattice": [a, a, a, 90.0, 90.0, 90.0], "numbers": [z, 8], "frac": [0.0] * 3 + [0.5] * 3}
        for a, z in ((3.9, 11), (4.2, 12), (4.8, 20), (5.5, 56))
    ]
    path = tmp_path / "crystals.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    data = DataSettings(path=path, split=None, validation_split=None)
    loop = LoopSettings(epochs=6, batch_size=2, warmup_steps=1, learning_rate=5e-3)
    first = run_autoencoder(AutoencoderRun(data=data, loop=loop, model=SMALL), tmp_path / "autoencoder")
    model = DenoiserConfig(width=16, heads=2, layers=1)
    second = run_denoiser(
        DenoiserRun(data=data, autoencoder=first, loop=loop, model=model), tmp_path / "denoiser"
    )
    loaded = load_bundle(build_bundle(second, tmp_path / "bundle", "average"))
    for folder, part, network in (
        (first, "autoencoder", loaded.autoencoder),
        (second, "denoiser", loaded.denoiser),
    ):
        state, saved = load_file(folder / "training.safetensors"), load_file(folder / f"{part}.safetensors")
        weights = {name for name, _ in network.named_parameters()}
        assert all(torch.equal(value, state[f"ema.{name}"]) for name, value in saved.items())
        assert any(not torch.equal(saved[name], state[f"model.{name}"]) for name in weights)
        for name, value in network.state_dict().items():
            assert torch.equal(value, saved[name].half().float()), name


def test_fault_11_rotations_are_not_seen_and_origins_move_each_on_their_own() -> None:
    """There, rotations were drawn unevenly, and one rotation and shift served the whole batch."""
    torch.manual_seed(0)
    model = Autoencoder(SMALL).eval()
    crystals = crystal_table(size=6, seed=2).tensors()
    expected, _ = model.encode(crystals)
    for _ in range(5):
        turned, _ = torch.linalg.qr(torch.randn(6, 3, 3))
        turned = turned * torch.linalg.det(turned)[:, None, None]
        rotated = CrystalTensors(
            crystals.ragged, crystals.numbers, crystals.frac_coords, crystals.lattice @ turned
        )
        torch.testing.assert_close(model.encode(rotated)[0], expected, rtol=1e-3, atol=1e-4)
    many = crystal_table(size=3000, max_atoms=4, seed=1).tensors()
    moved = shift_origin(many)
    shift = torch.remainder(moved.frac_coords - many.frac_coords, 1.0)
    first = torch.cumsum(many.ragged.num_atoms, 0) - many.ragged.num_atoms
    own = shift[first]
    apart = (shift - many.ragged.expand(own) + 0.5).remainder(1.0) - 0.5
    assert apart.abs().max() < 1e-5  # one shift for all atoms of a crystal
    assert torch.equal(moved.lattice, many.lattice)
    for axis in range(3):  # Kolmogorov's bound at 1 in 10,000, for 3000 draws
        distance = (own[:, axis].sort().values - torch.linspace(0, 1, 3000)).abs().max()
        assert distance < 2.23 / 3000**0.5
    assert np.abs(np.corrcoef(own.T.numpy()) - np.eye(3)).max() < 0.08
    neighbours = np.corrcoef(own[:-1].flatten().numpy(), own[1:].flatten().numpy())[0, 1]
    assert abs(neighbours) < 0.05


@pytest.mark.parametrize("where", [0.01, 0.3, 0.5, 0.99])
def test_fault_12_coordinates_across_the_boundary_are_near(where: float) -> None:
    """There, coordinates were plain numbers, and 0.99 was far from 0.01."""
    torch.manual_seed(0)
    model, ragged = Autoencoder(SMALL), Ragged(torch.tensor([2]))
    frac = torch.tensor([[where] * 3, [where + 0.4] * 3])
    truth = CrystalTensors(ragged, torch.tensor([11, 17]), frac.remainder(1.0), 5 * torch.eye(3)[None])
    cell = model.cell_features(truth)
    # The same small step over the boundary as anywhere else: the second atom stays, the first moves by 0.02.
    near = Decoded(
        torch.zeros(2, 100), geometry.phases((frac - torch.tensor([[0.02], [0.0]])).remainder(1.0)), cell
    )
    loss = reconstruction_terms(model, near, truth, cell)
    chord = 2 * np.sin(np.pi * 0.02)  # between two phases 0.02 turns apart
    assert loss["coordinates"].item() == pytest.approx(chord**2 / 2 / 2, rel=1e-3)
    assert distance_loss(model, near, truth, ragged).item() < 0.2
    half = (geometry.phases(torch.tensor([[where - 0.02]])) + geometry.phases(torch.tensor([[where]]))) / 2
    middle = geometry.phases_to_frac(half).item() - (where - 0.01)
    assert abs(middle - round(middle)) < 1e-5  # between 0.99 and 0.01 lies 0, not 0.5


def test_fault_13_sampling_under_a_composition_gives_it() -> None:
    """There, composition-conditioned sampling did not work."""
    torch.manual_seed(0)
    salts = {"NaCl": [11, 17], "MgO": [12, 8]}
    places = torch.randn(100, 8) * 1.5  # an element's latent
    learnt, settings = ConditionsConfig(composition=True), ConditionSettings(composition=1.0)
    denoiser = Denoiser(DenoiserConfig(width=48, heads=2, layers=2, max_atoms=2, conditions=learnt))
    optimizer = torch.optim.AdamW(denoiser.parameters(), lr=3e-3)
    ragged = Ragged(torch.full((64,), 2))
    for _ in range(250):
        choice = torch.randint(0, 2, (64,))
        numbers = torch.tensor(list(salts.values()))[choice].flatten()
        latents, eps = places[numbers - 1] + 0.05 * torch.randn(128, 8), torch.randn(128, 8)
        time = torch.rand(64)
        alpha, sigma = (ragged.expand(x[:, None]) for x in alpha_sigma(time))
        wanted = conditions_of(numbers, ragged, torch.empty(64, 0))
        wanted = wanted.keep(draw_kept(settings, 64, torch.device("cpu")))
        velocity = denoiser(alpha * latents + sigma * eps, time, ragged, wanted)
        optimizer.zero_grad()
        F.mse_loss(velocity, alpha * eps - sigma * latents).backward()
        optimizer.step()
    denoiser.eval()
    plan = SamplerSettings(steps=12, guidance_scale=1.5)

    def formulas(asked: list[str]) -> list[list[int]]:
        messages = [condition(composition=name) for name in asked]
        wanted = wanted_conditions(messages, [2] * len(asked), learnt)
        latents = sample(denoiser, [2] * len(asked), list(range(len(asked))), plan, wanted).sample
        # Read without any help: each atom is the element whose latent is nearest.
        logits = -torch.cdist(latents, places).square()
        free = choose_elements(logits, Ragged(torch.full((len(asked),), 2)), None)
        return [sorted(pair) for pair in free.view(-1, 2).tolist()]

    asked = ["NaCl", "MgO"] * 20
    right = [found == sorted(salts[name]) for name, found in zip(asked, formulas(asked), strict=True)]
    assert np.mean(right) >= 0.9
