"""The parts of a model card that need the networks themselves.

How well the autoencoder reconstructs crystals it never saw, and whether samples are spread like the data.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from generator_svc.data.load import read_crystals
from generator_svc.diffusion.sampler import SamplerSettings
from generator_svc.distributions import distance, histograms, table_batch
from generator_svc.pretrain.autoencoder import reconstruction_figures
from generator_svc.service.engine import Engine, SamplePlan
from generator_svc.service.policy import Policy
from generator_svc.storage.bundle import load_bundle, write_card
from xenolith.bundle import Bundle
from xenolith.crystal import CrystalBatch

__all__ = ["autoencoder_figures", "distribution_figures", "write_card"]

_CHUNK = 128


def autoencoder_figures(bundle: Bundle, data: Path, split: str | None) -> dict[str, float | int]:
    """Reconstruct a parquet file's crystals that fit the bundle.

    Parameters
    ----------
    bundle
        Its autoencoder is loaded as users get it, from the stored half-precision weights.
    data
        Parquet file with columns lattice, numbers and frac.
    split
        Value of its column `split` to keep; none keeps every row.

    Returns
    -------
    match_rate (StructureMatcher ltol 0.2, stol 0.3, angle 5), match_rate_cdvae (0.3, 0.5, 10), rmsd (in units
    of the cube root of the volume per atom, over matches), element_accuracy (share of atoms),
    all_elements_right (share of crystals), n.
    """
    loaded = load_bundle(bundle)
    table = read_crystals(
        data,
        split=split,
        max_atoms=int(bundle.manifest["max_atoms"]),
        max_atomic_number=loaded.autoencoder.config.max_atomic_number,
    )
    figures: dict[str, float | int] = dict(
        reconstruction_figures(loaded.autoencoder, table, torch.device("cpu"))
    )
    return figures | {"n": len(table)}


def distribution_figures(
    bundle: Bundle,
    data: Path,
    split: str | None,
    n: int,
    seed: int,
    on_progress: Callable[[int], None],
) -> dict[str, float | int]:
    """Sample the base policy with the bundle's own sampler and compare with a file's crystals.

    Parameters
    ----------
    bundle, data, split
        As for `autoencoder_figures`.
    n, seed
        Samples, and what their atom counts and noise derive from.
    on_progress
        Told how many samples are done.

    Returns
    -------
    Total variation distances (0: equal, 1: disjoint) of ``elements``, ``atoms_per_cell``,
    ``elements_per_cell`` and ``volume_per_atom``, and n.
    """
    engine = Engine(load_bundle(bundle), torch.device("cpu"))
    limit, sampler = int(bundle.manifest["max_atoms"]), bundle.manifest["sampler"]
    plan = SamplePlan(
        num_atoms=engine.draw_atom_counts(seed, n),
        seeds=engine.draw_seeds(seed, n),
        initial_seeds=None,
        settings=SamplerSettings(steps=int(sampler["steps"]), eta=float(sampler["eta"])),
        chunk=_CHUNK,
        embeddings=False,
        finishing=engine.finishing,
    )
    parts: list[CrystalBatch] = []
    for part in engine.sample(Policy("base", engine.loaded.denoiser), plan, lambda: False):
        parts.append(part.crystals)
        on_progress(sum(map(len, parts)))
    ours = histograms(CrystalBatch.concat(parts), limit)
    theirs = histograms(table_batch(read_crystals(data, split=split, max_atoms=limit)), limit)
    figures: dict[str, float | int] = {name: distance(ours[name], theirs[name]) for name in ours}
    return figures | {"n": n}
