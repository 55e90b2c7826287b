"""Crystals as one graph for MACE: each pair of neighbours once, and who receives from whom, as tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from oracle_svc.crystals.neighbors import Neighbors

__all__ = ["Receivers", "SparseGraph", "receivers_of", "sparse_graph"]


@dataclass(frozen=True, kw_only=True)
class SparseGraph:
    """Atoms sorted by element; pairs of neighbours, each once."""

    elements: NDArray[np.int64]
    """(A,) int64, row of each atom's element in the model, ascending."""
    owner: NDArray[np.int64]
    """(A,) int64, crystal of each atom."""
    first: NDArray[np.int64]
    """(U,) int64 atom."""
    second: NDArray[np.int64]
    """(U,) int64 atom."""
    vector: NDArray[np.float64]
    """(U, 3) float64, from the first to the image of the second, Angstrom."""
    num_crystals: int
    place: NDArray[np.int64]
    """(A,) int64, where each atom of the crystals, one after the other, is in this graph."""


@dataclass(frozen=True, kw_only=True)
class Receivers:
    """Atoms with about equally many neighbours, padded to the most of them.

    A directed edge has the number u if it goes from pair u's first atom to its second, U + u if it goes
    back, and 2 U where there is none.
    """

    atoms: NDArray[np.int64]
    """(R,) int64."""
    edge: NDArray[np.int64]
    """(R, D) int64, directed edges."""
    pair: NDArray[np.int64]
    """(R, D) int64, pair of each, U where there is none."""
    sender: NDArray[np.int64]
    """(R, D) int64, atom that sends, A where there is none."""


def sparse_graph(bonds: Sequence[Neighbors], elements: Sequence[NDArray[np.int64]]) -> SparseGraph:
    """Merge crystals into one graph.

    Parameters
    ----------
    bonds
        Neighbours of each crystal, both directions of each.
    elements
        Row of each atom's element in the model.
    """
    sizes = np.array([len(rows) for rows in elements])
    starts = np.cumsum(sizes) - sizes
    all_elements = np.concatenate(elements).astype(np.int64)
    order = np.argsort(all_elements, kind="stable")
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    first, second, vectors = [], [], []
    for found, start in zip(bonds, starts, strict=True):
        keep = _one_of_each_pair(found)
        i, j = found.center[keep], found.neighbor[keep]
        first.append(i + start)
        second.append(j + start)
        vectors.append(found.positions[j] - found.positions[i] + found.image[keep] @ found.lattice)
    return SparseGraph(
        elements=all_elements[order],
        owner=np.repeat(np.arange(len(sizes)), sizes)[order],
        first=place[np.concatenate(first)],
        second=place[np.concatenate(second)],
        vector=np.concatenate(vectors),
        num_crystals=len(sizes),
        place=place,
    )


def receivers_of(graph: SparseGraph, edges_at_once: int) -> Iterator[Receivers]:
    """Yield all atoms that have neighbours, in tables of about `edges_at_once` entries."""
    count = len(graph.first)
    receiver = np.concatenate([graph.second, graph.first])
    sender = np.append(np.concatenate([graph.first, graph.second]), len(graph.elements))
    pair = np.append(np.tile(np.arange(count), 2), count)
    order = np.argsort(receiver, kind="stable")
    degree = np.bincount(receiver, minlength=len(graph.elements))
    begin = np.cumsum(degree) - degree
    by_degree = np.argsort(degree, kind="stable")
    by_degree = by_degree[degree[by_degree] > 0]
    position = 0
    while position < len(by_degree):
        # As many as fit if all were padded to the last one's degree.
        ahead = degree[by_degree[position:]]
        fits = np.arange(1, len(ahead) + 1) * ahead <= edges_at_once
        rows = by_degree[position : position + max(1, int(fits.sum()))]
        position += len(rows)
        columns = np.arange(degree[rows[-1]])
        there = columns < degree[rows][:, None]
        at = np.where(there, begin[rows][:, None] + columns, 0)
        edge = np.where(there, order[at], 2 * count)
        yield Receivers(atoms=rows, edge=edge, pair=pair[edge], sender=sender[edge])


def _one_of_each_pair(found: Neighbors) -> NDArray[np.bool_]:
    """Keep i -> j for i < j; for an atom and its own image keep the lexicographically positive one."""
    x, y, z = found.image.T
    positive = (x > 0) | ((x == 0) & ((y > 0) | ((y == 0) & (z > 0))))
    return (found.center < found.neighbor) | ((found.center == found.neighbor) & positive)
