"""How much noise on its latents does an autoencoder forgive?

Diffusion never lands exactly on a latent of the data. This measures what that costs: crystals of a held-out
split are encoded, Gaussian noise of a given fraction of each channel's standard deviation is added, and they
are decoded. For each autoencoder and noise level: the share that StructureMatcher (0.2 / 0.3 / 5) still calls
the same, the shares that pass the validity gate and that keep all elements, and how far CHGNet's energy rises
above that of the crystal it came from, over all that pass the gate. Elements that were read wrongly are put
right for the energy: it is that of the geometry, and is over the same crystals for every autoencoder.

    python -m benchmarks.latent_noise --data mp20.parquet robust=runs/robust plain=runs/plain --plot noise.png

Each autoencoder is the folder of a finished `xenolith pretrain autoencoder` run, or a bundle.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Structure

from generator_svc.bundle import load_bundle
from generator_svc.data.load import read_crystals
from generator_svc.data.table import CrystalTable
from generator_svc.model.autoencoder import Autoencoder
from generator_svc.model.ragged import Ragged
from generator_svc.pretrain.autoencoder import structures
from generator_svc.pretrain.denoiser import latent_statistics, load_autoencoder
from oracle_svc.calculators import open_calculator
from oracle_svc.scoring.validity import ValidityLimits, check_validity
from xenolith.bundle import MANIFEST, read_bundle
from xenolith.convert import from_pymatgen
from xenolith.crystal import CrystalBatch

LEVELS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5)
CPU = torch.device("cpu")


def open_autoencoder(folder: Path) -> Autoencoder:
    if (folder / MANIFEST).exists():
        return load_bundle(read_bundle(folder)).autoencoder
    return load_autoencoder(folder)


@torch.no_grad()
def disturbed(model: Autoencoder, table: CrystalTable, level: float, std: torch.Tensor) -> list[Structure]:
    """Decode the posterior means after adding noise; the noise direction is the same at every level."""
    generator = torch.Generator().manual_seed(0)
    decoded: list[Structure] = []
    for start in range(0, len(table), 128):
        crystals = table.take(np.arange(start, min(start + 128, len(table)))).tensors()
        mean, _ = model.encode(crystals)
        noise = torch.randn(mean.shape, generator=generator)
        decoded += structures(model.decode(mean + level * std * noise, Ragged(crystals.ragged.num_atoms)))
    return decoded


def batch_of(members: Sequence[Structure]) -> CrystalBatch:
    return CrystalBatch.from_crystals(from_pymatgen(structure) for structure in members)


def curve(
    model: Autoencoder, table: CrystalTable, truth: Sequence[Structure], energies: np.ndarray, calculator: Any
) -> list[dict[str, float]]:
    _, std = latent_statistics(model, table, CPU)
    matcher = StructureMatcher(ltol=0.2, stol=0.3, angle_tol=5)
    numbers = batch_of(truth).numbers  # decoding keeps the order of the atoms
    rows = []
    for level in LEVELS:
        decoded = disturbed(model, table, level, std)
        same = [
            a.composition == b.composition and matcher.fit(a, b) for a, b in zip(truth, decoded, strict=True)
        ]
        batch = batch_of(decoded)
        valid = check_validity(batch, ValidityLimits(), calculator.elements).valid
        kept = np.array([a.composition == b.composition for a, b in zip(truth, decoded, strict=True)])
        chosen = np.flatnonzero(valid)
        righted = dataclasses.replace(batch, numbers=numbers).take(chosen)
        rise = calculator.evaluate(righted).energy_per_atom - energies[chosen]
        rise = rise[np.isfinite(rise)]
        rows.append(
            {
                "noise": level,
                "match_rate": float(np.mean(same)),
                "valid": float(valid.mean()),
                "elements_kept": float(kept.mean()),
                "mean_energy_rise": float(rise.mean()),
                "median_energy_rise": float(np.median(rise)),
                "n": len(table),
            }
        )
        sys.stderr.write(f"{rows[-1]}\n")
    return rows


def plot(curves: Mapping[str, Sequence[Mapping[str, float]]], path: Path) -> None:
    """Draw match rate and energy rise against noise, a line for each autoencoder."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.2), constrained_layout=True)
    for name, rows in curves.items():
        noise = [row["noise"] for row in rows]
        left.plot(noise, [100 * row["match_rate"] for row in rows], marker="o", label=name)
        right.plot(noise, [1e3 * row["mean_energy_rise"] for row in rows], marker="o", label=name)
    left.set(xlabel="latent noise / channel's std", ylabel="reconstructed, %", ylim=(0, 101))
    right.set(xlabel="latent noise / channel's std", ylabel="mean energy rise, meV/atom", yscale="log")
    left.legend(frameon=False)
    figure.savefig(path, dpi=150)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("autoencoders", nargs="+", metavar="NAME=FOLDER")
    parser.add_argument("--data", type=Path, required=True, help="parquet file of crystals")
    parser.add_argument("--split", default="test")
    parser.add_argument("--max-atoms", type=int, default=20)
    parser.add_argument("-n", type=int, default=500, help="crystals, drawn at random")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    table = read_crystals(given.data, split=given.split, max_atoms=given.max_atoms)
    table = table.take(np.random.default_rng(0).permutation(len(table))[: given.n])
    truth = structures(table.tensors())
    calculator = open_calculator("chgnet")
    energies = calculator.evaluate(batch_of(truth)).energy_per_atom
    curves = {}
    for item in given.autoencoders:
        name, _, folder = item.partition("=")
        curves[name] = curve(open_autoencoder(Path(folder)), table, truth, energies, calculator)
    text = json.dumps(curves, indent=1)
    sys.stdout.write(text + "\n")
    if given.json:
        given.json.write_text(text + "\n")
    if given.plot:
        plot(curves, given.plot)
    return 0


if __name__ == "__main__":
    sys.exit(main())
