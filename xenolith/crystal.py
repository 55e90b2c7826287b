"""Crystals as the whole of Xenolith knows them: one crystal, and a ragged batch of them as columns."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from xenolith.errors import CrystalError
from xenolith.formula import reduced_formula

__all__ = ["Crystal", "CrystalBatch"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int32]


@dataclass(frozen=True, kw_only=True, eq=False)
class Crystal:
    """One periodic crystal.

    Shapes are checked, values are not: NaN, overlapping atoms, a singular cell or an atomic number of 0 or
    119 are data, for which the services have a status. Arrays are read-only copies.

    Raises
    ------
    CrystalError
        If an array has the wrong shape or is not numeric; names the field.
    """

    lattice: Floats
    """(3, 3) lattice vectors a, b, c as rows, Angstrom."""
    numbers: Ints
    """(N,) atomic numbers."""
    frac_coords: Floats
    """(N, 3) fractional coordinates."""

    def __post_init__(self) -> None:
        numbers = _integers(self.numbers, "numbers")
        object.__setattr__(self, "numbers", numbers)
        object.__setattr__(self, "lattice", _floats(self.lattice, "lattice", (3, 3)))
        object.__setattr__(self, "frac_coords", _floats(self.frac_coords, "frac_coords", (len(numbers), 3)))

    @property
    def num_atoms(self) -> int:
        """Number of atoms in the cell."""
        return len(self.numbers)

    @property
    def volume(self) -> float:
        """Volume of the cell, Angstrom^3; 0 if it is singular, NaN if it is not finite."""
        if not np.isfinite(self.lattice).all():
            return float("nan")
        return float(abs(np.linalg.det(self.lattice)))

    @cached_property
    def formula(self) -> str:
        """Reduced formula such as ``SrTiO3``, as pymatgen writes it; empty if a number is no element."""
        return reduced_formula(self.numbers)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Crystal):
            return NotImplemented
        return (
            np.array_equal(self.numbers, other.numbers)
            and np.array_equal(self.lattice, other.lattice, equal_nan=True)
            and np.array_equal(self.frac_coords, other.frac_coords, equal_nan=True)
        )

    __hash__ = None  # type: ignore[assignment]  # equality is by value, of arrays that are not hashable

    def __repr__(self) -> str:
        return f"Crystal({self.formula or '?'}, {self.num_atoms} atoms, {self.volume:.1f} Å^3)"


@dataclass(frozen=True, kw_only=True, eq=False)
class CrystalBatch(Sequence[Crystal]):
    """Crystals of any sizes as columns: B structures with T atoms together.

    Raises
    ------
    CrystalError
        If the columns do not fit together; names the column.
    """

    num_atoms: Ints
    """(B,) atoms of each structure."""
    lattices: Floats
    """(B, 3, 3) cells, row vectors, Angstrom."""
    numbers: Ints
    """(T,) atomic numbers, structure after structure."""
    frac_coords: Floats
    """(T, 3) fractional coordinates."""

    def __post_init__(self) -> None:
        num_atoms = _integers(self.num_atoms, "num_atoms")
        if (num_atoms < 0).any():
            raise CrystalError(f"num_atoms holds a negative count, {num_atoms.min()}", field="num_atoms")
        total = int(num_atoms.sum(dtype=np.int64))
        numbers = _integers(self.numbers, "numbers")
        if len(numbers) != total:
            raise CrystalError(
                f"numbers has {len(numbers)} entries, but num_atoms adds up to {total}", field="numbers"
            )
        object.__setattr__(self, "num_atoms", num_atoms)
        object.__setattr__(self, "numbers", numbers)
        object.__setattr__(self, "lattices", _floats(self.lattices, "lattices", (len(num_atoms), 3, 3)))
        object.__setattr__(self, "frac_coords", _floats(self.frac_coords, "frac_coords", (total, 3)))

    @classmethod
    def from_crystals(cls, crystals: Iterable[Crystal]) -> "CrystalBatch":
        """Pack crystals, in their order; an empty iterable gives an empty batch."""
        members = list(crystals)
        return cls(
            num_atoms=np.array([c.num_atoms for c in members], dtype=np.int32),
            lattices=np.array([c.lattice for c in members], dtype=np.float64).reshape(-1, 3, 3),
            numbers=_joined([c.numbers for c in members], np.int32),
            frac_coords=_joined([c.frac_coords for c in members], np.float64).reshape(-1, 3),
        )

    @classmethod
    def concat(cls, batches: Iterable["CrystalBatch"]) -> "CrystalBatch":
        """Append batches to one another."""
        members = list(batches)
        return cls(
            num_atoms=_joined([b.num_atoms for b in members], np.int32),
            lattices=_joined([b.lattices for b in members], np.float64).reshape(-1, 3, 3),
            numbers=_joined([b.numbers for b in members], np.int32),
            frac_coords=_joined([b.frac_coords for b in members], np.float64).reshape(-1, 3),
        )

    @cached_property
    def offsets(self) -> npt.NDArray[np.int64]:
        """(B + 1,) index of each structure's first atom; the last entry is T."""
        return np.concatenate([[0], np.cumsum(self.num_atoms, dtype=np.int64)])

    @property
    def total_atoms(self) -> int:
        """Atoms of all structures together (T)."""
        return len(self.numbers)

    @property
    def volumes(self) -> Floats:
        """(B,) cell volumes, Angstrom^3; 0 for singular cells, NaN for cells that are not finite."""
        finite = np.asarray(np.isfinite(self.lattices).all(axis=(1, 2)))
        safe = np.where(finite[:, None, None], self.lattices, 0.0)
        return np.where(finite, np.abs(np.linalg.det(safe)), np.nan)

    def __len__(self) -> int:
        return len(self.num_atoms)

    @overload
    def __getitem__(self, index: int) -> Crystal: ...
    @overload
    def __getitem__(self, index: slice) -> "CrystalBatch": ...
    def __getitem__(self, index: int | slice) -> "Crystal | CrystalBatch":
        if isinstance(index, slice):
            return self.take(range(len(self))[index])
        index = range(len(self))[index]
        atoms = slice(self.offsets[index], self.offsets[index + 1])
        return Crystal(
            lattice=self.lattices[index], numbers=self.numbers[atoms], frac_coords=self.frac_coords[atoms]
        )

    def __iter__(self) -> Iterator[Crystal]:
        return (self[index] for index in range(len(self)))

    def take(self, indices: Sequence[int] | npt.NDArray[np.integer[Any]]) -> "CrystalBatch":
        """Return the structures at `indices`, in that order; an index may occur more than once."""
        rows = np.asarray(indices, dtype=np.int64)
        rows = np.where(rows < 0, rows + len(self), rows)
        counts = self.num_atoms[rows]
        first = np.repeat(self.offsets[rows], counts)
        within = np.arange(counts.sum(dtype=np.int64)) - np.repeat(
            np.cumsum(counts, dtype=np.int64) - counts, counts
        )
        atoms = first + within
        return CrystalBatch(
            num_atoms=counts,
            lattices=self.lattices[rows],
            numbers=self.numbers[atoms],
            frac_coords=self.frac_coords[atoms],
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, CrystalBatch):
            return NotImplemented
        return (
            np.array_equal(self.num_atoms, other.num_atoms)
            and np.array_equal(self.numbers, other.numbers)
            and np.array_equal(self.lattices, other.lattices, equal_nan=True)
            and np.array_equal(self.frac_coords, other.frac_coords, equal_nan=True)
        )

    __hash__ = None  # type: ignore[assignment]  # as for Crystal

    def __repr__(self) -> str:
        return f"CrystalBatch({len(self)} structures, {self.total_atoms} atoms)"


def _floats(values: npt.ArrayLike, field: str, shape: tuple[int, ...]) -> Floats:
    try:
        array = np.array(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise CrystalError(f"{field} is not an array of numbers: {error}", field=field) from error
    if array.size == 0 and 0 in shape:
        array = array.reshape(shape)
    if array.shape != shape:
        raise CrystalError(f"{field} has shape {array.shape}, expected {shape}", field=field)
    array.setflags(write=False)
    return array


def _integers(values: npt.ArrayLike, field: str) -> Ints:
    try:
        array = np.array(values)
    except (TypeError, ValueError) as error:
        raise CrystalError(f"{field} is not an array of integers: {error}", field=field) from error
    if array.ndim != 1:
        raise CrystalError(f"{field} has shape {array.shape}, expected one dimension", field=field)
    if array.size and array.dtype.kind not in "iu":
        raise CrystalError(f"{field} holds {array.dtype.name}, expected integers", field=field)
    limits = np.iinfo(np.int32)
    if array.size and (array.min() < limits.min or array.max() > limits.max):
        raise CrystalError(f"{field} holds a number beyond 32 bits", field=field)
    array = array.astype(np.int32)
    array.setflags(write=False)
    return array


def _joined(arrays: list[Any], dtype: type) -> npt.NDArray[Any]:
    return np.concatenate(arrays) if arrays else np.empty(0, dtype=dtype)
