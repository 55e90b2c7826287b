"""Batched relaxation against CHGNet's own StructOptimizer: same structures, same fmax, in one run.

    python -m benchmarks.relaxation mp20.parquet --structures 100 --json relaxation.json

prints JSON: differences of the relaxed energies, seconds of processor time per structure of both, and their
ratio. Both have one thread.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.command_line import benchmark_parser, parse, publish
from oracle_svc.calculators import open_calculator
from oracle_svc.known.reference.structures import read_structures
from oracle_svc.relaxation import Relaxed, RelaxSettings, relax
from xenolith.crystal import Crystal, CrystalBatch


def main(arguments: Sequence[str] | None = None) -> int:
    given = _arguments(arguments)
    import torch

    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    batch = chosen(given.structures_file, given.structures, given.max_atoms, given.seed)
    if given.rattle:
        batch = rattled(batch, given.rattle, given.seed)
    calculator = open_calculator("chgnet")
    calculator.evaluate(batch[:8], with_forces=True)  # first passes of torch are slow
    settings = RelaxSettings(fmax=given.fmax, max_steps=given.max_steps)
    begin = time.process_time()
    ours = relax(batch, calculator, settings, atoms_at_once=given.atoms_at_once)
    ours_s = time.process_time() - begin
    theirs, theirs_s = [], 0.0
    if not given.ours_only:
        begin = time.process_time()
        optimise = library_optimiser()
        for index, crystal in enumerate(batch):
            theirs.append(optimise(crystal, given.fmax, given.max_steps))
            if sys.stderr.isatty():
                print(f"\r{index + 1}/{len(batch)}", end="", file=sys.stderr)
        theirs_s = time.process_time() - begin
    publish(report(ours, theirs, ours_s, theirs_s, vars(given), batch), given.json)
    return 0


def chosen(path: Path, count: int, max_atoms: int, seed: int) -> CrystalBatch:
    """Structures of at most `max_atoms` atoms, drawn with `seed`."""
    batch = read_structures(path).batch
    small = np.flatnonzero(batch.num_atoms <= max_atoms)
    return batch.take(np.random.default_rng(seed).choice(small, min(count, len(small)), replace=False))


def rattled(batch: CrystalBatch, size: float, seed: int) -> CrystalBatch:
    """Atoms displaced by normal deviates of `size` Angstrom, cells strained by a quarter of that."""
    rng = np.random.default_rng(seed)
    crystals = []
    for crystal in batch:
        lattice = crystal.lattice @ (np.eye(3) + size / 4 * rng.normal(size=(3, 3)))
        moved = size * rng.normal(size=crystal.frac_coords.shape) @ np.linalg.inv(lattice)
        crystals.append(replace(crystal, lattice=lattice, frac_coords=crystal.frac_coords + moved))
    return CrystalBatch.from_crystals(crystals)


def library_optimiser() -> Any:
    """(crystal, fmax, steps) -> (energy per atom in eV, steps) by the library's StructOptimizer."""
    from chgnet.model.dynamics import StructOptimizer
    from chgnet.model.model import CHGNet
    from pymatgen.core import Lattice, Structure

    model = CHGNet.load(use_device="cpu", verbose=False)
    optimiser = StructOptimizer(model=model, use_device="cpu", on_isolated_atoms="ignore")

    def optimise(crystal: Crystal, fmax: float, steps: int) -> tuple[float, int]:
        structure = Structure(Lattice(crystal.lattice), crystal.numbers.tolist(), crystal.frac_coords)
        # The largest force is compared with fmax where the walk stands, then one move is made.
        path: Any = optimiser.relax(structure, fmax=fmax, steps=steps, verbose=False)["trajectory"]
        return float(path.energies[-1]) / crystal.num_atoms, len(path.energies) - 2

    return optimise


def report(
    ours: list[Relaxed],
    theirs: list[tuple[float, int]],
    ours_s: float,
    theirs_s: float,
    settings: dict[str, Any],
    batch: CrystalBatch,
) -> dict[str, Any]:
    count = len(ours)
    summary: dict[str, Any] = {
        "settings": settings,
        "structures": count,
        "mean_atoms": float(batch.num_atoms.mean()),
        "converged": sum(r.converged for r in ours),
        "statuses": sorted({r.status.name for r in ours}),
        "mean_steps": float(np.mean([r.steps for r in ours])),
        "seconds_per_structure": ours_s / count,
    }
    if theirs:
        gaps = np.array(
            [
                np.nan if r.energy_per_atom is None else r.energy_per_atom - t[0]
                for r, t in zip(ours, theirs, strict=True)
            ]
        )
        sizes = np.abs(gaps)
        summary |= {
            "library_seconds_per_structure": theirs_s / count,
            "ratio": theirs_s / ours_s,
            "library_mean_steps": float(np.mean([t[1] for t in theirs])),
            "within_5_meV": int((sizes <= 5e-3).sum()),
            "median_gap_meV": 1e3 * float(np.nanmedian(sizes)),
            "largest_gap_meV": 1e3 * float(np.nanmax(sizes)),
            "mean_gap_meV": 1e3 * float(np.nanmean(gaps)),
            "beyond_5_meV": [
                {
                    "formula": batch[i].formula,
                    "ours_minus_library_meV": 1e3 * float(gaps[i]),
                    "steps": [ours[i].steps, theirs[i][1]],
                    "converged": ours[i].converged,
                    "message": ours[i].message,
                }
                for i in np.flatnonzero(~(sizes <= 5e-3)).tolist()
            ],
        }
    return summary


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = benchmark_parser("relaxation", __doc__)
    parser.add_argument(
        "structures_file", type=Path, help="parquet table of structures, such as mp20.parquet"
    )
    parser.add_argument("--structures", type=int, default=100)
    parser.add_argument("--max-atoms", type=int, default=20)
    parser.add_argument("--fmax", type=float, default=0.1, help="eV/Angstrom; the library's default")
    parser.add_argument("--max-steps", type=int, default=500)
    parser.add_argument("--atoms-at-once", type=int, default=256)
    parser.add_argument("--rattle", type=float, default=0.0, help="displace the atoms first, Angstrom")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--ours-only", action="store_true", help="leave the library out")
    return parse(parser, arguments, quick={"structures": 4})


if __name__ == "__main__":
    sys.exit(main())
