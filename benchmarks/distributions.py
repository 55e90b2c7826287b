"""Do samples look like the crystals a model was trained on?

Compares a file of samples with a table of crystals: elements, atoms per cell, elements per cell, volume per
atom. For each, the total variation distance (0: equal, 1: disjoint) and, with --plot, both histograms.

    xenolith generate -n 2000 --out samples.extxyz
    python -m benchmarks.distributions samples.extxyz --data mp20.parquet --plot distributions.png
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from generator_svc.data.load import read_crystals
from xenolith.convert import as_batch
from xenolith.crystal import CrystalBatch
from xenolith.elements import SYMBOLS

VOLUMES = np.linspace(5, 60, 45)


@dataclass(frozen=True, kw_only=True)
class Histogram:
    """Shares of a set of crystals, summing to 1."""

    labels: tuple[str, ...]
    shares: np.ndarray


def histograms(batch: CrystalBatch, max_atoms: int) -> dict[str, Histogram]:
    """Histogram of each property, over the same bins for every batch."""
    kinds = [len(np.unique(crystal.numbers)) for crystal in batch]
    volumes = np.abs(np.linalg.det(batch.lattices)) / batch.num_atoms
    numbers = np.arange(1, 95)
    return {
        "elements": _counted(batch.numbers, numbers, [SYMBOLS[z] for z in numbers]),
        "atoms per cell": _counted(batch.num_atoms, np.arange(1, max_atoms + 1)),
        "elements per cell": _counted(np.array(kinds), np.arange(1, 8)),
        "volume per atom": Histogram(
            labels=tuple(f"{edge:.1f}" for edge in VOLUMES[:-1]),
            shares=np.histogram(volumes, bins=VOLUMES)[0] / len(batch),
        ),
    }


def _counted(values: np.ndarray, bins: np.ndarray, labels: list[str] | None = None) -> Histogram:
    shares = np.array([(values == value).mean() for value in bins])
    return Histogram(labels=tuple(labels or [str(value) for value in bins]), shares=shares)


def distance(a: Histogram, b: Histogram) -> float:
    """Total variation; what falls outside all bins counts as different."""
    outside = max(0.0, 1 - a.shares.sum()) + max(0.0, 1 - b.shares.sum())
    return float(0.5 * (np.abs(a.shares - b.shares).sum() + outside))


def table_batch(path: Path, split: str, max_atoms: int) -> CrystalBatch:
    table = read_crystals(path, split=split, max_atoms=max_atoms)
    return CrystalBatch(
        num_atoms=table.num_atoms,
        lattices=table.lattices.astype(float),
        numbers=table.numbers,
        frac_coords=table.frac_coords.astype(float),
    )


def plot(ours: Mapping[str, Histogram], theirs: Mapping[str, Histogram], path: Path) -> None:
    """Draw both histograms of every property."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(2, 2, figsize=(11, 6), constrained_layout=True)
    for panel, name in zip(axes.flat, ours, strict=True):
        at = np.arange(len(ours[name].labels))
        panel.bar(at, 100 * theirs[name].shares, width=1.0, color="0.8", label="data")
        panel.step(at, 100 * ours[name].shares, where="mid", color="tab:red", label="samples")
        step = max(1, len(at) // 15)
        panel.set_xticks(at[::step], ours[name].labels[::step], fontsize=7)
        panel.set(title=name, ylabel="%")
    axes[0, 0].legend(frameon=False)
    figure.savefig(path, dpi=120)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("samples", type=Path, help="file or folder that `xenolith generate` wrote")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split", default="train")
    parser.add_argument("--max-atoms", type=int, default=20)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path)
    given = parser.parse_args()
    ours = histograms(as_batch(given.samples), given.max_atoms)
    theirs = histograms(table_batch(given.data, given.split, given.max_atoms), given.max_atoms)
    text = json.dumps({name: round(distance(ours[name], theirs[name]), 4) for name in ours}, indent=1)
    sys.stdout.write(text + "\n")
    if given.json:
        given.json.write_text(text + "\n")
    if given.plot:
        plot(ours, theirs, given.plot)
    return 0


if __name__ == "__main__":
    sys.exit(main())
