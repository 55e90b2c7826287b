"""Properties that geometry alone decides."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from oracle_svc.calculators.base import digest_of
from oracle_svc.crystals.elements import MASSES
from xenolith.crystal import CrystalBatch

__all__ = ["Density", "VolumePerAtom"]

_GRAM_PER_CM3 = 1.66053906660
"""One atomic mass unit per cubic Angstrom."""


class Density:
    """Mass density."""

    name = "density"
    unit = "g/cm^3"
    description = "mass density of the cell as given"
    licence = ""
    embeddings_of = ""
    digest = digest_of({"property": "density", "version": 1})

    def predict(self, crystals: CrystalBatch, embeddings: NDArray[np.float32] | None) -> NDArray[np.float64]:
        """Return (B,) g/cm^3."""
        masses = np.add.reduceat(np.append(MASSES[crystals.numbers], 0.0), crystals.offsets[:-1])
        return _GRAM_PER_CM3 * masses / _volumes(crystals)


class VolumePerAtom:
    """Volume per atom."""

    name = "volume_per_atom"
    unit = "A^3"
    description = "volume of the cell as given, per atom"
    licence = ""
    embeddings_of = ""
    digest = digest_of({"property": "volume_per_atom", "version": 1})

    def predict(self, crystals: CrystalBatch, embeddings: NDArray[np.float32] | None) -> NDArray[np.float64]:
        """Return (B,) Angstrom^3."""
        return _volumes(crystals) / crystals.num_atoms


def _volumes(crystals: CrystalBatch) -> NDArray[np.float64]:
    return np.asarray(np.abs(np.linalg.det(crystals.lattices)))
