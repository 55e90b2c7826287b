"""The measured half of a card: how well the autoencoder reconstructs crystals it never saw."""

from __future__ import annotations

from pathlib import Path

import torch

from generator_svc.bundle import load_bundle, write_card
from generator_svc.data.load import read_crystals
from generator_svc.pretrain.autoencoder import reconstruction_figures
from xenolith.bundle import Bundle

__all__ = ["autoencoder_figures", "write_card"]


def autoencoder_figures(bundle: Bundle, data: Path, split: str | None) -> dict[str, float | int]:
    """Reconstruct a parquet file's crystals that fit the bundle.

    Parameters
    ----------
    bundle : its autoencoder is loaded as users get it, from the stored half-precision weights.
    data : parquet file with columns lattice, numbers and frac.
    split : value of its column `split` to keep; none keeps every row.

    Returns
    -------
    match_rate (StructureMatcher ltol 0.2, stol 0.3, angle 5), match_rate_cdvae (0.3, 0.5, 10), rmsd (in units
    of the cube root of the volume per atom, over matches), element_accuracy (share of atoms),
    all_elements_right (share of crystals), n.
    """
    loaded = load_bundle(bundle)
    table = read_crystals(data, split=split, max_atoms=int(bundle.manifest["max_atoms"]))
    figures: dict[str, float | int] = dict(
        reconstruction_figures(loaded.autoencoder, table, torch.device("cpu"))
    )
    return figures | {"n": len(table)}
