"""The timed work: sampling, log-probabilities, coding, and how sampling grows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from benchmarks.generator_parts import padded
from benchmarks.generator_parts.timing import SAMPLER_STEPS, Setup, interleaved
from generator_svc.diffusion.sampler import SamplerSettings, log_density, sample, transition
from generator_svc.networks.denoiser import Denoiser
from generator_svc.networks.ragged import Ragged


def sampling(setup: Setup, denoiser: Denoiser, counts: Sequence[int]) -> dict[str, float]:
    """Structures per second of a call with `SAMPLER_STEPS` steps, decoding included."""
    settings, seeds = SamplerSettings(steps=setup.timed_steps), list(range(len(counts)))

    def packed() -> Tensor:
        return sample(denoiser, counts, seeds, settings).sample

    def dense() -> Tensor:
        return padded.sample(denoiser, counts, seeds, settings)

    difference = _agreement(packed(), dense())
    latents, ragged = packed(), Ragged(torch.tensor(list(counts), device=setup.device))

    def decode() -> None:
        setup.loaded.autoencoder.decode(setup.loaded.restore(latents), ragged)

    steps, dense_steps = interleaved(setup, packed, dense, warm=True)
    decoding, dense_decoding = interleaved(
        setup, decode, lambda: padded.decode(setup.loaded, latents, counts)
    )
    scale = SAMPLER_STEPS / setup.timed_steps
    ours, theirs = steps * scale + decoding, dense_steps * scale + dense_decoding
    return {
        "structures_per_s": len(counts) / ours,
        "padded_structures_per_s": len(counts) / theirs,
        "ratio": theirs / ours,
        "step_s": steps / setup.timed_steps,
        "decode_s": decoding,
        "max_difference": difference,
    }


def log_probabilities(
    setup: Setup, denoiser: Denoiser, counts: Sequence[int], steps: Tensor
) -> dict[str, float]:
    """Structures' steps per second of log-probabilities with gradients.

    `steps` (S, B) are the denoising steps of each structure, taken together when packed and after each other
    when padded.
    """
    settings, steps = SamplerSettings(steps=SAMPLER_STEPS), steps.to(setup.device)
    ragged = Ragged(torch.tensor(list(counts), device=setup.device))
    rows, row_steps = Ragged(ragged.num_atoms.repeat(len(steps))), steps.flatten()
    torch.manual_seed(1)
    shape = (len(steps), sum(counts), denoiser.config.latent_dim)
    states, noise = torch.randn(2, *shape, device=setup.device)
    with torch.no_grad():
        policy = transition(denoiser, states.flatten(0, 1), row_steps, rows, settings)
        after = (policy.mean + rows.expand(policy.std[:, None]) * noise.flatten(0, 1)).view(shape)
    denoiser.requires_grad_(True)

    def packed() -> Tensor:
        policy = transition(denoiser, states.flatten(0, 1), row_steps, rows, settings)
        density = log_density(after.flatten(0, 1), policy, rows)
        density.mean().backward()
        return density.detach()

    def dense() -> Tensor:
        densities = []
        for of_step, before, then in zip(steps, states, after, strict=True):
            density = padded.log_probs(denoiser, before, then, of_step, ragged, settings)
            (density.mean() / len(steps)).backward()
            densities.append(density.detach())
        return torch.cat(densities)

    difference = _agreement(packed(), dense())

    def afresh(densities: Callable[[], Tensor]) -> Callable[[], None]:
        def action() -> None:
            denoiser.zero_grad(set_to_none=True)
            densities()

        return action

    ours, theirs = interleaved(setup, afresh(packed), afresh(dense), warm=True)
    denoiser.zero_grad(set_to_none=True)
    denoiser.requires_grad_(False)
    return {
        "steps": len(steps),
        "rows_per_s": steps.numel() / ours,
        "padded_rows_per_s": steps.numel() / theirs,
        "ratio": theirs / ours,
        "max_difference": difference,
    }


def _agreement(packed: Tensor, padded: Tensor) -> float:
    difference = float((packed - padded).abs().max())
    if difference > 1e-3:
        raise SystemExit(f"packed and padded outputs differ by {difference}")
    return difference


def trajectory_steps(setup: Setup, size: int) -> Tensor:
    """(S, B) steps, the same for all structures."""
    drawn = torch.randperm(SAMPLER_STEPS - 1, generator=torch.Generator().manual_seed(0))
    return drawn[: setup.trained_steps].sort().values[:, None].expand(-1, size)


def single_steps(size: int) -> Tensor:
    """(1, B) steps, each structure at one of its own."""
    return torch.randint(0, SAMPLER_STEPS - 1, (1, size), generator=torch.Generator().manual_seed(0))


def coding(setup: Setup, counts: Sequence[int]) -> dict[str, float]:
    """Structures per second of decoding and encoding with the bundle's autoencoder."""
    ragged = Ragged(torch.tensor(list(counts), device=setup.device))
    torch.manual_seed(2)
    latents = torch.randn(sum(counts), setup.loaded.denoiser.config.latent_dim, device=setup.device)
    autoencoder = setup.loaded.autoencoder
    crystals = autoencoder.decode(setup.loaded.restore(latents), ragged)

    def encode() -> None:
        with torch.no_grad():
            autoencoder.encode(crystals)

    decoding, encoding = interleaved(setup, lambda: autoencoder.decode(latents, ragged), encode)
    return {"decoded_per_s": len(counts) / decoding, "encoded_per_s": len(counts) / encoding}


def growth(setup: Setup, denoiser: Denoiser, counts: Sequence[int]) -> list[dict[str, float]]:
    """Milliseconds for each structure and sampler step, over batch size and atom count."""
    rows = []
    limit = denoiser.config.max_atoms
    sizes = [size for size in (1, 4, 16, 64, 256) if size <= 4 * len(counts)]
    cases = [(size, atoms) for atoms in sorted({2, limit // 2, limit}) for size in sizes]
    settings = SamplerSettings(steps=2)
    for size, atoms in cases:
        taken = interleaved(setup, partial(sample, denoiser, [atoms] * size, list(range(size)), settings))[0]
        rows.append({"batch": size, "atoms": atoms, "ms_per_structure_step": 1e3 * taken / size / 2})
    return rows
