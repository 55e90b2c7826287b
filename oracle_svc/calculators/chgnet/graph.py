"""Batched crystal graphs for CHGNet, built without a Python loop over atoms or bonds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oracle_svc.crystals.neighbors import find_neighbors

__all__ = ["ATOM_CUTOFF", "BOND_CUTOFF", "Bonds", "Graph", "find_bonds", "merge"]

ATOM_CUTOFF = 6.0
"""Radius of the atom graph in Angstrom (CHGNet 0.3.0)."""
BOND_CUTOFF = 3.0
"""Longest bond that takes part in an angle, in Angstrom (CHGNet 0.3.0)."""


@dataclass(frozen=True, kw_only=True)
class Bonds:
    """Undirected bonds of one crystal: each periodic pair of atoms appears once."""

    first: NDArray[np.int64]
    """(U,) int64, one end."""
    second: NDArray[np.int64]
    """(U,) int64, the other end."""
    length: NDArray[np.float64]
    """(U,) float64, Angstrom."""
    vector: NDArray[np.float64]
    """(U, 3) float64, from `second` to `first`, Angstrom."""
    num_atoms: int

    @property
    def num_isolated(self) -> int:
        """Atoms without any neighbour inside the atom cutoff."""
        ends = np.concatenate([self.first, self.second])
        return self.num_atoms - len(np.unique(ends))

    @property
    def num_angles(self) -> int:
        """Ordered pairs of different short edges at one atom."""
        short = self.length < BOND_CUTOFF
        degree = np.bincount(np.concatenate([self.first[short], self.second[short]]))
        return int((degree * (degree - 1)).sum())


@dataclass(frozen=True, kw_only=True)
class Graph:
    """Several crystals as one graph.

    Directed bonds ("edges") are sorted by their centre; angles are the ordered pairs of short
    edges at one centre, sorted by their first edge. Both orders make sums contiguous.
    """

    numbers: NDArray[np.int64]
    """(A,) int64 atomic numbers."""
    owner: NDArray[np.int64]
    """(A,) int64, the crystal of each atom."""
    num_crystals: int
    vector: NDArray[np.float32]
    """(U, 3) float32, from one end of each bond to the other, Angstrom."""
    length: NDArray[np.float32]
    """(U,) float32 bond lengths in Angstrom."""
    center: NDArray[np.int64]
    """(E,) int64 atom, E = 2 U."""
    neighbor: NDArray[np.int64]
    """(E,) int64 atom."""
    bond: NDArray[np.int64]
    """(E,) int64 index into `length`."""
    short_center: NDArray[np.int64]
    """(S,) int64 atom at which each short edge starts."""
    short_bond: NDArray[np.int64]
    """(S,) int64 index into `angle_bond`."""
    short_sign: NDArray[np.float32]
    """(S,) float32, 1 where the edge points along its bond's `vector`, else -1."""
    angle_bond: NDArray[np.int64]
    """(V,) int64, the undirected bonds that are short, as indices into `length`."""
    angle_first: NDArray[np.int64]
    """(G,) int64 index into the short edges."""
    angle_second: NDArray[np.int64]
    """(G,) int64 index into the short edges."""
    angle_cosine: NDArray[np.float32]
    """(G,) float32."""


def find_bonds(lattice: NDArray[np.float64], frac_coords: NDArray[np.float64]) -> Bonds:
    """Return the undirected bonds of one crystal inside the atom cutoff.

    Parameters
    ----------
    lattice
        (3, 3) row vectors in Angstrom.
    frac_coords
        (N, 3) fractional coordinates; any image of an atom is accepted.

    Raises
    ------
    SearchTooLargeError
        If the cell would need unbounded work.
    """
    found = find_neighbors(lattice, frac_coords, ATOM_CUTOFF)
    keep = _one_of_each_pair(found.center, found.neighbor, found.image)
    first, second, length = found.center[keep], found.neighbor[keep], found.distance[keep]
    vector = found.positions[first] - found.positions[second] - found.image[keep] @ found.lattice
    return Bonds(first=first, second=second, length=length, vector=vector, num_atoms=len(frac_coords))


def _one_of_each_pair(
    center: NDArray[np.int64], neighbor: NDArray[np.int64], image: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Keep i -> j for i < j; for an atom and its own image keep the lexicographically positive one."""
    x, y, z = image.T
    positive = (x > 0) | ((x == 0) & ((y > 0) | ((y == 0) & (z > 0))))
    return (center < neighbor) | ((center == neighbor) & positive)


def merge(bonds: list[Bonds], numbers: list[NDArray[np.int32]]) -> Graph:
    """Merge the bonds of several crystals into one graph, adding directed edges and angles."""
    sizes = np.array([b.num_atoms for b in bonds], dtype=np.int64)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    first = np.concatenate([b.first + s for b, s in zip(bonds, starts, strict=True)])
    second = np.concatenate([b.second + s for b, s in zip(bonds, starts, strict=True)])
    length = np.concatenate([b.length for b in bonds])
    vector = np.concatenate([b.vector for b in bonds])

    center = np.concatenate([first, second])
    order = np.argsort(center, kind="stable")
    count = len(first)
    bond = np.concatenate([np.arange(count), np.arange(count)])[order]
    sign = np.repeat([1.0, -1.0], count)[order]
    angles = _angles(center[order], bond, sign, length, vector)
    return Graph(
        numbers=np.concatenate(numbers).astype(np.int64),
        owner=np.repeat(np.arange(len(bonds)), sizes),
        num_crystals=len(bonds),
        vector=vector.astype(np.float32),
        length=length.astype(np.float32),
        center=center[order],
        neighbor=np.concatenate([second, first])[order],
        bond=bond,
        **angles,
    )


def _angles(
    center: NDArray[np.int64],
    bond: NDArray[np.int64],
    sign: NDArray[np.float64],
    length: NDArray[np.float64],
    vector: NDArray[np.float64],
) -> dict[str, NDArray[Any]]:
    """Enumerate the ordered pairs of different short edges that share a centre."""
    is_short = length < BOND_CUTOFF
    edges = np.flatnonzero(is_short[bond])
    short_center = center[edges]
    degree = np.bincount(short_center) if len(edges) else np.zeros(0, dtype=np.int64)
    begin = np.cumsum(degree) - degree
    per_edge = degree[short_center]
    first = np.repeat(np.arange(len(edges)), per_edge)
    block = np.cumsum(per_edge) - per_edge
    second = np.arange(len(first)) - np.repeat(block, per_edge) + np.repeat(begin[short_center], per_edge)
    different = first != second
    first, second = first[different], second[different]
    along = bond[edges]
    unit = vector[along] * (sign[edges] / length[along])[:, None]
    rank = np.cumsum(is_short) - 1
    return {
        "short_center": short_center,
        "short_bond": rank[along],
        "short_sign": sign[edges].astype(np.float32),
        "angle_bond": np.flatnonzero(is_short),
        "angle_first": first,
        "angle_second": second,
        "angle_cosine": np.einsum("ij,ij->i", unit[first], unit[second]).astype(np.float32),
    }
