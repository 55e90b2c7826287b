"""Symmetry operations: read from `-x+1/2, y, z`, compared, fitted to a cell."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from xenolith.convert.reading.numbers import number
from xenolith.crystal import Floats

__all__ = ["Operations", "from_triplets", "of_group"]

_TERM = re.compile(r"([+-]?)(\d+\.?\d*(?:/\d+)?|\.\d+)?\*?([xyz])?")
_SIXTEENTH = 24
"""Translations of space groups are multiples of 1/24."""
_LENGTHS_PART, _ANGLES_PART = 0.03, 3.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Operations:
    """Operations of a group: x becomes R x + t, fractional."""

    rotations: Floats
    """(n, 3, 3)"""
    translations: Floats
    """(n, 3)"""

    def __len__(self) -> int:
        return len(self.rotations)

    @property
    def trivial(self) -> bool:
        """Whether they are the identity alone."""
        return len(self) == 1

    def times(self, other: "Operations") -> "Operations":
        """Return all products of these with those of a centring."""
        rotations = [r @ c for c in other.rotations for r in self.rotations]
        translations = [t + c for c in other.translations for t in self.translations]
        return Operations(rotations=np.array(rotations), translations=np.array(translations))

    def keys(self) -> frozenset[tuple[int, ...]]:
        """Return the operations as a set that compares, translations to 1/24."""
        shifts = np.round(self.translations * _SIXTEENTH).astype(int) % _SIXTEENTH
        return frozenset(
            (*map(int, rotation.ravel()), *map(int, shift))
            for rotation, shift in zip(self.rotations, shifts, strict=True)
        )

    def fits(self, lattice: Floats) -> bool:
        """Tell whether the cell has the symmetry: lengths within 3 %, angles within 3 degrees."""
        if self.trivial:
            return True
        metric = lattice @ lattice.T
        lengths, cosines = _shape(metric)
        rotations = self._distinct
        others = np.einsum("nji,jk,nkl->nil", rotations, metric, rotations)
        other_lengths, other_cosines = _shape(others)
        off = np.degrees(np.abs(np.arccos(other_cosines) - np.arccos(cosines)))
        return bool(
            (np.abs(other_lengths / lengths - 1) < _LENGTHS_PART).all() and (off < _ANGLES_PART).all()
        )

    @cached_property
    def _distinct(self) -> Floats:
        """Each rotation once: with a centring they come again and again."""
        return np.unique(self.rotations, axis=0)


def from_triplets(triplets: Iterable[str]) -> Operations:
    """Return the operations of texts such as `-x+1/2, y, z+0.3333` or `X+Y, -Y, Z, +1`.

    The identity is added where it is missing; a fourth part, time reversal of a magnetic group, is left out.

    Raises
    ------
    ValueError
        One is no operation.
    """
    return _from_triplets(("x,y,z", *triplets))


@lru_cache(maxsize=64)
def _from_triplets(triplets: tuple[str, ...]) -> Operations:
    found: dict[tuple[bytes, bytes], tuple[Floats, Floats]] = {}
    for triplet in triplets:
        rotation, translation = _parsed(triplet)
        shift = np.round(translation, 5) % 1.0
        found.setdefault((rotation.tobytes(), shift.tobytes()), (rotation, translation))
    return Operations(
        rotations=np.array([rotation for rotation, _ in found.values()]),
        translations=np.array([translation for _, translation in found.values()]),
    )


def of_group(operations: Any) -> Operations:
    """Return gemmi's operations of a space group."""
    members = list(operations)
    return Operations(
        rotations=np.array([op.rot for op in members], dtype=float) / members[0].DEN,
        translations=np.array([op.tran for op in members], dtype=float) / members[0].DEN,
    )


def _parsed(triplet: str) -> tuple[Floats, Floats]:
    text = re.sub(r"[\s'\"]", "", triplet).lower()
    parts = text.split(",")
    if len(parts) == 4 and re.fullmatch(r"[+-]?1|m[+-]1", parts[3]):
        parts = parts[:3]
    if len(parts) != 3:
        raise ValueError(f"{triplet!r} is no symmetry operation")
    rotation, translation = np.zeros((3, 3)), np.zeros(3)
    for row, part in enumerate(parts):
        place = 0
        for term in _TERM.finditer(part):
            if not term[0]:
                continue
            if term.start() != place or not (term[2] or term[3]) or (place and not term[1]):
                break
            place = term.end()
            sign = -1.0 if term[1] == "-" else 1.0
            amount = number(term[2]) if term[2] else 1.0
            if term[3]:
                rotation[row, "xyz".index(term[3])] += sign * amount
            else:
                translation[row] += sign * amount
        if not part or place != len(part):
            raise ValueError(f"{triplet!r} is no symmetry operation")
    if not np.isclose(abs(np.linalg.det(rotation)), 1) or not np.allclose(rotation, np.round(rotation)):
        raise ValueError(f"{triplet!r} is no symmetry operation of a lattice")
    # .3333 means a third.
    near = np.round(translation * _SIXTEENTH) / _SIXTEENTH
    return np.round(rotation) + 0.0, np.where(np.abs(near - translation) < 1e-3, near, translation)


def _shape(metric: Floats) -> tuple[Floats, Floats]:
    """Lengths and cosines of the angles of cells, of their metric tensors (..., 3, 3)."""
    lengths = np.sqrt(np.einsum("...ii->...i", metric))
    first, second = [1, 0, 0], [2, 2, 1]
    cosines = metric[..., first, second] / (lengths[..., first] * lengths[..., second])
    return lengths, np.clip(cosines, -1, 1)
