"""How crystals are spread over elements, sizes and volumes, and how far two such spreads are apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from generator_svc.data.table import CrystalTable
from xenolith.crystal import CrystalBatch
from xenolith.elements import SYMBOLS

__all__ = ["Histogram", "distance", "histograms", "table_batch"]

_VOLUMES = np.linspace(5, 60, 45)
"""Edges, cubic Angstrom per atom."""
_HEAVIEST = 94
_MOST_KINDS = 7


@dataclass(frozen=True, kw_only=True)
class Histogram:
    """Shares of a set of crystals, summing to 1 less what lies outside all bins."""

    labels: tuple[str, ...]
    shares: NDArray[np.float64]
    """(bins,)."""


def histograms(batch: CrystalBatch, max_atoms: int) -> dict[str, Histogram]:
    """Histograms over the same bins for every batch.

    Parameters
    ----------
    batch
        At least one crystal.
    max_atoms
        Largest atom count with a bin.

    Returns
    -------
    ``elements`` (share of atoms), ``atoms_per_cell``, ``elements_per_cell`` and ``volume_per_atom`` (cubic
    Angstrom; share of crystals).
    """
    kinds = [len(np.unique(crystal.numbers)) for crystal in batch]
    volumes = np.abs(np.linalg.det(batch.lattices)) / batch.num_atoms
    numbers = np.arange(1, _HEAVIEST + 1)
    return {
        "elements": _counted(batch.numbers, numbers, [SYMBOLS[z] for z in numbers]),
        "atoms_per_cell": _counted(batch.num_atoms, np.arange(1, max_atoms + 1)),
        "elements_per_cell": _counted(np.array(kinds), np.arange(1, _MOST_KINDS + 1)),
        "volume_per_atom": Histogram(
            labels=tuple(f"{edge:.1f}" for edge in _VOLUMES[:-1]),
            shares=np.histogram(volumes, bins=_VOLUMES)[0] / len(batch),
        ),
    }


def distance(a: Histogram, b: Histogram) -> float:
    """Total variation, 0 (equal) to 1 (disjoint); what falls outside all bins counts as different."""
    outside = max(0.0, 1 - a.shares.sum()) + max(0.0, 1 - b.shares.sum())
    return float(0.5 * (np.abs(a.shares - b.shares).sum() + outside))


def table_batch(table: CrystalTable) -> CrystalBatch:
    """A table's crystals as the contract's columns."""
    return CrystalBatch(
        num_atoms=table.num_atoms.astype(np.int32),
        lattices=table.lattices.astype(float),
        numbers=table.numbers.astype(np.int32),
        frac_coords=table.frac_coords.astype(float),
    )


def _counted(
    values: NDArray[np.integer], bins: NDArray[np.int64], labels: Sequence[str] | None = None
) -> Histogram:
    shares = np.array([(values == value).mean() for value in bins])
    return Histogram(labels=tuple(labels or [str(value) for value in bins]), shares=shares)
