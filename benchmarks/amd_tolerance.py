"""How far apart in AMD are crystals that StructureMatcher calls the same?

Two kinds of pairs, each compared by StructureMatcher (0.2 / 0.3 / 5) and by the Chebyshev distance of
AMD vectors (k = 100):

- *polymorphs*: structures of one reduced formula in a table, one of each pair from the training split;
- *copies*: structures against themselves with noise (0-0.15 A) and strain (0-5 %), as a generator
  that reproduces a known crystal would give them.

For each tolerance it reports how many equal pairs would count as novel, and how many different ones
as known. AMD does not see elements, so polymorphs that differ by who sits where stay close.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from benchmarks.command_line import benchmark_parser, parse, publish
from oracle_svc.crystals.amd import DEFAULT_TOLERANCE, amd_vectors
from oracle_svc.known.novelty.matcher import MatcherOptions, PairMatcher, Verdict
from oracle_svc.known.reference.structures import read_structures
from xenolith.crystal import Crystal, CrystalBatch

TOLERANCES = [0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.7, 1.0]
Pair = tuple[Crystal, Crystal]


def polymorphs(path: Path, most: int, rng: np.random.Generator) -> list[Pair]:
    table = read_structures(path)
    splits = pq.read_table(path, columns=["split"])["split"].to_pylist()
    groups: dict[str, list[int]] = {}
    for row, crystal in enumerate(table.batch):
        groups.setdefault(crystal.formula, []).append(row)
    rows = [
        (i, j)
        for group in groups.values()
        for position, i in enumerate(group)
        for j in group[position + 1 :]
        if (splits[i] == "train") != (splits[j] == "train")
    ]
    chosen = rng.choice(len(rows), min(most, len(rows)), replace=False)
    return [(table.batch[rows[k][0]], table.batch[rows[k][1]]) for k in chosen]


def copies(path: Path, count: int, rng: np.random.Generator) -> list[Pair]:
    batch = read_structures(path).batch
    originals = [batch[int(row)] for row in rng.choice(len(batch), count, replace=False)]
    return [(crystal, disturbed(crystal, rng)) for crystal in originals]


def disturbed(crystal: Crystal, rng: np.random.Generator) -> Crystal:
    strain = rng.normal(size=(3, 3))
    strain += strain.T
    strain *= rng.uniform(0, 0.05) / np.abs(np.linalg.eigvalsh(strain)).max()
    lattice = crystal.lattice @ (np.eye(3) + strain)
    noise = rng.normal(size=(crystal.num_atoms, 3)) * rng.uniform(0, 0.15)
    frac = crystal.frac_coords + noise @ np.linalg.inv(lattice)
    return Crystal(lattice=lattice, numbers=crystal.numbers, frac_coords=frac)


def compare(pairs: Sequence[Pair], matcher: PairMatcher) -> dict[str, Any]:
    verdicts = matcher.verdicts(pairs, MatcherOptions())
    sides = [amd_vectors(CrystalBatch.from_crystals(side)).vectors for side in zip(*pairs, strict=True)]
    distance = np.abs(sides[0] - sides[1]).max(axis=1)
    same = distance[[verdict is Verdict.SAME for verdict in verdicts]]
    different = distance[[verdict is Verdict.DIFFERENT for verdict in verdicts]]
    return {
        "pairs": len(pairs),
        "same": len(same),
        "different": len(different),
        "undecided": len(pairs) - len(same) - len(different),
        "same_distance_quantiles": {q: float(np.quantile(same, q)) for q in (0.5, 0.9, 0.99)},
        "curve": [
            {
                "tolerance": tolerance,
                "false_novel": float((same > tolerance).mean()),
                "false_known": float((different <= tolerance).mean()) if len(different) else None,
            }
            for tolerance in TOLERANCES
        ],
    }


def main(arguments: Sequence[str] | None = None) -> int:
    parser = benchmark_parser("amd_tolerance", __doc__)
    parser.add_argument("table", type=Path, help="parquet table of structures with a split column (MP-20)")
    parser.add_argument("--pairs", type=int, default=4000, help="pairs of each kind (default: 4000)")
    chosen = parse(parser, arguments, quick={"pairs": 300})
    rng = np.random.default_rng(0)
    matcher = PairMatcher(pair_limit_s=10.0)
    kinds: dict[str, Callable[..., list[Pair]]] = {"polymorphs": polymorphs, "copies": copies}
    try:
        figures = {
            name: compare(make(chosen.table, chosen.pairs, rng), matcher) for name, make in kinds.items()
        }
    finally:
        matcher.close()
    report = {"tolerance": DEFAULT_TOLERANCE, "matcher": "StructureMatcher 0.2/0.3/5", "k": 100, **figures}
    publish(report, chosen.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
