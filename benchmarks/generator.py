"""How fast the generator samples, decodes and recomputes log-probabilities, as ratios within one run.

The same networks do the same work in two layouts: packed, as the product does it, and padded, with the
autoencoder read from disk at each call, as `generator_parts/padded.py` explains. Outputs must agree. Two
networks are measured: one of the size of the paper's denoiser (DiT-B: 12 layers of width 768, random weights,
whose cost is the same) and the bundle's own. `floor_ratio` compares the packed time with the time of the
matrix products of the real atoms alone at the rate this machine reaches on them.

`logprob_ratio` is about the log-probabilities of several denoising steps of every structure, forward and
backward into one gradient. Packed, they are rows of one forward pass, as in the trainer's update, which takes
up to 320 rows; padded, every step is a pass of its own over its dense tensor, as the reference does it.
`logprob_one_step_ratio` compares passes over a single step, each structure at another one: layout alone.

On one CPU thread the processor's time is measured, which neighbours on a shared machine disturb less.

    python -m benchmarks.generator --json generator.json --plot generator.png
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.command_line import benchmark_parser, parse, publish
from benchmarks.generator_parts.floor import floor_ratio
from benchmarks.generator_parts.timing import Setup
from benchmarks.generator_parts.work import (
    coding,
    growth,
    log_probabilities,
    sampling,
    single_steps,
    trajectory_steps,
)
from generator_svc.networks.denoiser import Denoiser, DenoiserConfig
from generator_svc.storage.bundle import load_bundle
from xenolith.bundle import find_bundle


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


def measure(setup: Setup, denoiser: Denoiser, counts: Sequence[int]) -> dict[str, Any]:
    return {
        "sampling": sampling(setup, denoiser, counts),
        "log_probabilities": log_probabilities(setup, denoiser, counts, trajectory_steps(setup, len(counts))),
        "log_probabilities_one_step": log_probabilities(setup, denoiser, counts, single_steps(len(counts))),
        "floor_ratio": floor_ratio(setup, denoiser, counts),
    }


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


def main(arguments: Sequence[str] | None = None) -> int:
    parser = benchmark_parser("generator", __doc__)
    parser.add_argument("--bundle", default="mp20-small", help="name or folder")
    parser.add_argument(
        "-n", type=int, default=64, help="structures in a batch, drawn from the bundle's prior"
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5, help="rounds, of which the median counts")
    parser.add_argument("--timed-steps", type=int, default=2, help="sampler steps timed of each 50")
    parser.add_argument(
        "--trained-steps", type=int, default=2, help="steps of each structure in one packed forward"
    )
    parser.add_argument("--plot", type=Path)
    quick = {"n": 8, "repeats": 1, "timed_steps": 1, "trained_steps": 1}
    given = parse(parser, arguments, quick=quick)
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
    publish(result, given.json)
    if given.plot:
        plot(rows, given.plot)
    return 0


if __name__ == "__main__":
    sys.exit(main())
