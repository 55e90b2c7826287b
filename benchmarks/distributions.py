"""Do samples look like the crystals a model was trained on?

Compares a file of samples with a table of crystals: elements, atoms per cell, elements per cell, volume per
atom. For each, the total variation distance (0: equal, 1: disjoint) and, with --plot, both histograms.

    xenolith generate -n 2000 --out samples.extxyz
    python -m benchmarks.distributions samples.extxyz --data mp20.parquet --plot distributions.png
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.command_line import benchmark_parser, parse, publish
from generator_svc.data.load import read_crystals
from generator_svc.distributions import Histogram, distance, histograms, table_batch
from xenolith.convert import as_batch


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
        step = max(1, len(at) // 10)
        panel.set_xticks(at[::step], ours[name].labels[::step], fontsize=7)
        panel.set(title=name.replace("_", " "), ylabel="%")
    axes[0, 0].legend(frameon=False)
    figure.savefig(path, dpi=120)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = benchmark_parser("distributions", __doc__)
    parser.add_argument("samples", type=Path, help="file or folder that `xenolith generate` wrote")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split", default="train")
    parser.add_argument("--max-atoms", type=int, default=20)
    parser.add_argument("-n", type=int, default=0, help="crystals of the table, its first; 0: all (default)")
    parser.add_argument("--plot", type=Path)
    given = parse(parser, arguments, quick={"n": 1000})
    ours = histograms(as_batch(given.samples), given.max_atoms)
    table = read_crystals(given.data, split=given.split, max_atoms=given.max_atoms)
    if given.n:
        table = table.take(np.arange(min(given.n, len(table))))
    theirs = histograms(table_batch(table), given.max_atoms)
    publish({name: round(distance(ours[name], theirs[name]), 4) for name in ours}, given.json)
    if given.plot:
        plot(ours, theirs, given.plot)
    return 0


if __name__ == "__main__":
    sys.exit(main())
