"""AMD vectors of many structures: 16-bit fixed point, in memory or mapped from a file.

A million vectors of 100 take 200 MB on disk and as much memory as is looked at. Every entry is right to half
a step, hence so is every distance.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = ["STEP", "AmdStore"]

STEP = 0.0005
"""Angstrom; larger where a vector has entries beyond 32 Angstrom."""
_LEVELS = np.iinfo(np.uint16).max


@dataclass(frozen=True, kw_only=True)
class AmdStore:
    """AMD vectors by row."""

    steps: NDArray[np.uint16]
    """(M, k) uint16 whole steps."""
    step: float
    """Angstrom."""

    @classmethod
    def pack(cls, vectors: NDArray[np.floating]) -> AmdStore:
        """Round vectors (M, k) in Angstrom to whole steps."""
        highest = float(vectors.max(initial=0.0))
        step = max(STEP, highest / _LEVELS)
        return cls(steps=np.round(vectors / step).astype(np.uint16), step=step)

    @classmethod
    def open(cls, path: Path, step: float) -> AmdStore:
        """Map a file of `save`; nothing is read before it is needed."""
        return cls(steps=np.load(path, mmap_mode="r", allow_pickle=False), step=step)

    def save(self, path: Path) -> None:
        """Write to a file (npy)."""
        np.save(path, self.steps, allow_pickle=False)

    @property
    def error(self) -> float:
        """Largest error of an entry and of a distance, Angstrom."""
        return self.step / 2

    def vectors(self, rows: slice | NDArray[np.int64]) -> NDArray[np.float64]:
        """(m, k) float64 vectors, Angstrom."""
        return np.asarray(self.steps[rows], dtype=np.float64) * self.step

    def distances(self, vector: NDArray[np.float64], rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """(m,) float64 Chebyshev distances of rows to a vector (k,), Angstrom."""
        scaled = (vector / self.step).astype(np.float32)
        differences = np.abs(self.steps[rows].astype(np.float32) - scaled)
        return differences.max(axis=1, initial=0.0).astype(np.float64) * self.step
