"""How fast the generator samples, decodes and recomputes log-probabilities, as ratios within one run.

The same networks do the same work in two layouts: packed, as the product does it, and padded, with the
autoencoder read from disk at each call, as `generator_padded.py` explains. Outputs must agree. Two networks
are measured: one of the size of the paper's denoiser (DiT-B: 12 layers of width 768, random weights, whose
cost is the same) and the bundle's own. `floor_ratio` compares the packed time with the time of the matrix
products of the real atoms alone at the rate this machine reaches on them.

`logprob_ratio` is about the log-probabilities of several denoising steps of every structure, forward and
backward into one gradient. Packed, they are rows of one forward pass, as in the trainer's update, which takes
up to 320 rows; padded, every step is a pass of its own over its dense tensor, as the reference does it.
`logprob_one_step_ratio` compares passes over a single step, each structure at another one: layout alone.

On one CPU thread the processor's time is measured, which neighbours on a shared machine disturb less.

    python -m benchmarks.generator --json generator.json --plot generator.png
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks import generator_padded as padded
from generator_svc.bundle import LoadedBundle, load_bundle
from generator_svc.diffusion.sampler import SamplerSettings, log_density, sample, transition
from generator_svc.model.denoiser import Denoiser, DenoiserConfig
from generator_svc.model.ragged import Ragged
from xenolith.bundle import find_bundle

SAMPLER_STEPS = 50


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What every measurement needs."""

    loaded: LoadedBundle
    device: torch.device
    repeats: int
    timed_steps: int
    """Sampler steps really timed; a call of `SAMPLER_STEPS` costs as many times more."""
    trained_steps: int
    """Steps of every structure whose log-probabilities are taken together."""


def seconds(device: torch.device, action: Callable[[], Any]) -> float:
    alone = device.type == "cpu" and torch.get_num_threads() == 1
    clock = time.process_time if alone else time.perf_counter
    begin = clock()
    action()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return clock() - begin


def interleaved(setup: Setup, *actions: Callable[[], Any], warm: bool = False) -> list[float]:
    """Median seconds of each action; they take turns, so that a busy moment touches all of them.

    `warm`: all of them have run before.
    """
    for action in actions if not warm else ():
        action()
    rounds = [[seconds(setup.device, action) for action in actions] for _ in range(setup.repeats)]
    return [statistics.median(column) for column in zip(*rounds, strict=True)]


def paper_denoiser(max_atoms: int) -> Denoiser:
    """DiT-B with random weights everywhere, also where training starts from zero."""
    torch.manual_seed(0)
    config = DenoiserConfig(width=768, heads=12, layers=12, max_atoms=max_atoms)
    return randomised(Denoiser(config))


def randomised(denoiser: Denoiser) -> Denoiser:
    """Fill the zero-initialised layers, without which the network would compute nothing."""
    for module in denoiser.modules():
        if isinstance(module, nn.Linear) and not module.weight.any():
            nn.init.normal_(module.weight, std=0.02)
    return denoiser.eval().requires_grad_(False)


def sampling(setup: Setup, denoiser: Denoiser, counts: Sequence[int]) -> dict[str, float]:
    """Structures per second of a call with `SAMPLER_STEPS` steps, decoding included."""
    settings, seeds = SamplerSettings(steps=setup.timed_steps), list(range(len(counts)))

    def packed() -> Tensor:
        return sample(denoiser, counts, seeds, settings).sample

    def dense() -> Tensor:
        return padded.sample(denoiser, counts, seeds, settings)

    difference = float((packed() - dense()).abs().max())
    if difference > 1e-3:
        raise SystemExit(f"packed and padded samples differ by {difference}")
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

    difference = float((packed() - dense()).abs().max())

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


def trajectory_steps(setup: Setup, size: int) -> Tensor:
    """(S, B) steps, the same for all structures."""
    drawn = torch.randperm(SAMPLER_STEPS - 1, generator=torch.Generator().manual_seed(0))
    return drawn[: setup.trained_steps].sort().values[:, None].expand(-1, size)


def single_steps(size: int) -> Tensor:
    """(1, B) steps, each structure at one of its own."""
    return torch.randint(0, SAMPLER_STEPS - 1, (1, size), generator=torch.Generator().manual_seed(0))


def matrix_products(config: DenoiserConfig, counts: Sequence[int]) -> list[tuple[int, int, int]]:
    """(m, k, n) of every matrix product of one forward pass over the real atoms."""
    atoms, structures, width = sum(counts), len(counts), config.width
    block = [
        (structures, width, 6 * width),
        (atoms, width, 3 * width),
        (atoms, width, width),
        (atoms, width, 4 * width),
        (atoms, 4 * width, width),
    ]
    ends = [
        (atoms, config.latent_dim, width),
        (structures, width, 2 * width),
        (atoms, width, config.latent_dim),
    ]
    return block * config.layers + ends


def floor(setup: Setup, config: DenoiserConfig, counts: Sequence[int]) -> float:
    """Seconds of one forward pass's matrix products, each timed at its own shape, attention left out."""
    total = 0.0
    shapes = matrix_products(config, counts)
    for shape in sorted(set(shapes)):
        m, k, n = shape
        a, b = torch.randn(m, k, device=setup.device), torch.randn(n, k, device=setup.device)
        once = interleaved(setup, partial(_three_times, nn.functional.linear, a, b))[0] / 3
        total += once * shapes.count(shape)
    return total


def _three_times(action: Callable[..., Any], *arguments: Any) -> None:
    for _ in range(3):
        action(*arguments)


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


def measure(setup: Setup, denoiser: Denoiser, counts: Sequence[int]) -> dict[str, Any]:
    sampled = sampling(setup, denoiser, counts)
    result: dict[str, Any] = {
        "sampling": sampled,
        "log_probabilities": log_probabilities(setup, denoiser, counts, trajectory_steps(setup, len(counts))),
        "log_probabilities_one_step": log_probabilities(setup, denoiser, counts, single_steps(len(counts))),
        "floor_ratio": sampled["step_s"] / floor(setup, denoiser.config, counts),
    }
    return result


def plot(rows: Sequence[dict[str, float]], path: Path) -> None:
    """Draw cost against batch size, a line for each atom count."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(5, 3.4), constrained_layout=True)
    for atoms in sorted({row["atoms"] for row in rows}):
        line = [row for row in rows if row["atoms"] == atoms]
        axes.plot(
            [row["batch"] for row in line],
            [row["ms_per_structure_step"] for row in line],
            marker="o",
            label=f"{atoms} atoms",
        )
    axes.set(xscale="log", yscale="log", xlabel="structures in a batch", ylabel="ms / structure / step")
    axes.legend(frameon=False)
    figure.savefig(path, dpi=150)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bundle", default="mp20-small", help="name or folder")
    parser.add_argument(
        "-n", type=int, default=64, help="structures in a batch, drawn from the bundle's prior"
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--timed-steps", type=int, default=2, help="sampler steps timed of each 50")
    parser.add_argument(
        "--trained-steps", type=int, default=2, help="steps of each structure in one packed forward"
    )
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    device = torch.device(given.device)
    setup = Setup(
        loaded=load_bundle(find_bundle(given.bundle), device),
        device=device,
        repeats=given.repeats,
        timed_steps=given.timed_steps,
        trained_steps=given.trained_steps,
    )
    loaded = setup.loaded
    draw = np.random.default_rng(0)
    counts = draw.choice(loaded.atom_counts, size=given.n, p=loaded.atom_count_probabilities).tolist()
    paper = measure(setup, paper_denoiser(int(max(loaded.atom_counts))).to(device), counts)
    own = measure(setup, loaded.denoiser, counts)
    rows = growth(setup, loaded.denoiser, counts)
    result = {
        "sampling_ratio": paper["sampling"]["ratio"],
        "logprob_ratio": paper["log_probabilities"]["ratio"],
        "logprob_one_step_ratio": paper["log_probabilities_one_step"]["ratio"],
        "floor_ratio": paper["floor_ratio"],
        "filled": sum(counts) / (len(counts) * max(counts)),
        "paper_size": paper,
        "bundle": {"name": loaded.bundle.name, **own, **coding(setup, counts)},
        "growth": rows,
        "structures": given.n,
        "device": str(device),
        "threads": given.threads,
    }
    text = json.dumps(result, indent=1)
    sys.stdout.write(text + "\n")
    if given.json:
        given.json.write_text(text + "\n")
    if given.plot:
        plot(rows, given.plot)
    return 0


if __name__ == "__main__":
    sys.exit(main())
