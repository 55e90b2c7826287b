"""How much noise on its latents does an autoencoder forgive?

Diffusion never lands exactly on a latent of the data. This measures what that costs: crystals of a held-out
split are encoded, Gaussian noise of a given fraction of each channel's standard deviation is added, and they
are decoded. For each autoencoder and noise level: the share that StructureMatcher (0.2 / 0.3 / 5) still calls
the same, the shares that pass the validity gate and that keep all elements, and how far CHGNet's energy rises
above that of the crystal it came from. Elements that were read wrongly are put right for the energy, which is
that of the geometry, over the crystals that pass the gate with every autoencoder (`n_energy` of them).

    python -m benchmarks.latent_noise --data mp20.parquet robust=runs/robust plain=runs/plain --plot noise.png

Each autoencoder is the folder of a finished `xenolith pretrain autoencoder` run, or a bundle.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Structure

from benchmarks.command_line import benchmark_parser, parse, publish
from generator_svc.data.load import read_crystals
from generator_svc.data.table import CrystalTable
from generator_svc.networks.autoencoder import Autoencoder
from generator_svc.networks.ragged import Ragged
from generator_svc.pretrain.autoencoder import structures
from generator_svc.pretrain.denoiser import latent_statistics
from generator_svc.storage.finished import load_autoencoder
from oracle_svc.calculators import open_calculator
from oracle_svc.crystals.validity import ValidityLimits, check_validity
from xenolith.convert import from_pymatgen
from xenolith.crystal import CrystalBatch

LEVELS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5)
CPU = torch.device("cpu")


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


def curves(
    autoencoders: Mapping[str, Autoencoder],
    table: CrystalTable,
    truth: Sequence[Structure],
    energies: NDArray[np.float64],
    calculator: Any,
) -> dict[str, list[dict[str, float]]]:
    stds = {name: latent_statistics(model, table, CPU)[1] for name, model in autoencoders.items()}
    numbers = batch_of(truth).numbers  # decoding keeps the order of the atoms
    rows: dict[str, list[dict[str, float]]] = {name: [] for name in autoencoders}
    for level in LEVELS:
        decoded = {name: disturbed(model, table, level, stds[name]) for name, model in autoencoders.items()}
        valid, rise = {}, {}
        for name, crystals in decoded.items():
            batch = batch_of(crystals)
            valid[name] = check_validity(batch, ValidityLimits(), calculator.elements).valid
            rise[name] = _energy_rise(batch, valid[name], numbers, energies, calculator)
        common = np.logical_and.reduce([np.isfinite(values) for values in rise.values()])
        for name, crystals in decoded.items():
            rows[name].append(
                {
                    "noise": level,
                    **_kept(truth, crystals),
                    "valid": float(valid[name].mean()),
                    "n": len(table),
                    **_spread(rise[name][common]),
                }
            )
            sys.stderr.write(f"{name} {rows[name][-1]}\n")
    return rows


def _energy_rise(
    decoded: CrystalBatch,
    valid: NDArray[np.bool_],
    numbers: NDArray[np.int32],
    energies: NDArray[np.float64],
    calculator: Any,
) -> NDArray[np.float64]:
    """(S,) eV/atom of the decoded geometries with the right elements; NaN without a finite energy."""
    chosen = np.flatnonzero(valid)
    righted = dataclasses.replace(decoded, numbers=numbers).take(chosen)
    rise = np.full(len(decoded), np.nan)
    rise[chosen] = calculator.evaluate(righted).energy_per_atom - energies[chosen]
    return rise


def _spread(rise: NDArray[np.float64]) -> dict[str, float]:
    known = len(rise) > 0
    return {
        "mean_energy_rise": float(rise.mean()) if known else float("nan"),
        "median_energy_rise": float(np.median(rise)) if known else float("nan"),
        "n_energy": len(rise),
    }


def _kept(truth: Sequence[Structure], decoded: Sequence[Structure]) -> dict[str, float]:
    matcher = StructureMatcher(ltol=0.2, stol=0.3, angle_tol=5)
    pairs = list(zip(truth, decoded, strict=True))
    kept = [a.composition == b.composition for a, b in pairs]
    same = [known and matcher.fit(a, b) for known, (a, b) in zip(kept, pairs, strict=True)]
    return {"match_rate": float(np.mean(same)), "elements_kept": float(np.mean(kept))}


def plot(found: Mapping[str, Sequence[Mapping[str, float]]], path: Path) -> None:
    """Draw match rate and energy rise against noise, a line for each autoencoder."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.2), constrained_layout=True)
    for name, rows in found.items():
        noise = [row["noise"] for row in rows]
        left.plot(noise, [100 * row["match_rate"] for row in rows], marker="o", label=name)
        right.plot(noise, [1e3 * row["mean_energy_rise"] for row in rows], marker="o", label=name)
    left.set(xlabel="latent noise / channel's std", ylabel="reconstructed, %", ylim=(0, 101))
    right.set(xlabel="latent noise / channel's std", ylabel="mean energy rise, meV/atom", yscale="log")
    left.legend(frameon=False)
    figure.savefig(path, dpi=150)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = benchmark_parser("latent_noise", __doc__)
    parser.add_argument("autoencoders", nargs="+", metavar="NAME=FOLDER")
    parser.add_argument("--data", type=Path, required=True, help="parquet file of crystals")
    parser.add_argument("--split", default="test")
    parser.add_argument("--max-atoms", type=int, default=20)
    parser.add_argument("-n", type=int, default=500, help="crystals, drawn at random")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--plot", type=Path)
    given = parse(parser, arguments, quick={"n": 16})
    torch.set_num_threads(given.threads)
    table = read_crystals(given.data, split=given.split, max_atoms=given.max_atoms)
    table = table.take(np.random.default_rng(0).permutation(len(table))[: given.n])
    truth = structures(table.tensors())
    calculator = open_calculator("chgnet")
    energies = calculator.evaluate(batch_of(truth)).energy_per_atom
    named = (item.partition("=") for item in given.autoencoders)
    autoencoders = {name: load_autoencoder(Path(folder)) for name, _, folder in named}
    found = curves(autoencoders, table, truth, energies, calculator)
    publish(found, given.json)
    if given.plot:
        plot(found, given.plot)
    return 0


if __name__ == "__main__":
    sys.exit(main())
