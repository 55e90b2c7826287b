"""SevenNet-l3i5: energies, forces and stress in batches, on the scale of the Materials Project's corrections.

Source: Y. Park et al., Journal of Chemical Theory and Computation 20, 4857 (2024); the model l3i5 was
trained on uncorrected PBE(+U) energies of MPtrj. What it gives is told as the raw energy; the energy that
counts is corrected by `mp2020`, so that it is of the scheme that CHGNet and MACE-MPA-0 declare.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from oracle_svc.calculators.base import Evaluation, EvaluationBuilder, device_settings, digest_of
from oracle_svc.calculators.mp2020 import MP2020_SCHEME, correction_per_atom
from oracle_svc.calculators.packing import packed
from oracle_svc.calculators.screen import screen
from oracle_svc.calculators.sevennet.checkpoint import SHA256
from oracle_svc.calculators.sevennet.network import SevennetNetwork, edge_vectors
from oracle_svc.crystals.neighbors import Neighbors, SearchTooLargeError, find_neighbors
from oracle_svc.status import Status

if TYPE_CHECKING:
    from xenolith.crystal import Crystal, CrystalBatch

__all__ = ["SevennetCalculator"]

# Edges of one pass, energies alone and with forces. Derivatives keep about 0.2 MB for each edge.
_EDGES_PER_PASS = {False: 4_000, True: 500}
# Most edges of one structure: a few GB of work space.
_MAX_EDGES = {False: 120_000, True: 30_000}


@dataclass(frozen=True, kw_only=True)
class _Item:
    index: int
    numbers: NDArray[np.int32]
    bonds: Neighbors
    correction: float


class SevennetCalculator:
    """SevenNet-l3i5 on any torch device.

    Parameters
    ----------
    device
        Torch device, `cpu` by default.

    Raises
    ------
    ValueError
        The installed weights are not the published ones.
    """

    id = "sevennet-l3i5"
    scheme = MP2020_SCHEME
    licence = "weights and model: MIT, SevenNet developers"
    embedding_size = 0
    offers_forces = True
    offers_stress = True
    settings_digest = digest_of({"id": "sevennet-l3i5", "weights": SHA256, "corrections": "MP2020"})

    def __init__(self, *, device: str = "cpu") -> None:
        self.settings, self.parameters = device_settings(device), {"device": device}
        self.version = version("sevenn")
        self._network = SevennetNetwork(torch.device(device))
        self.elements = frozenset(self._network.row_of)

    def evaluate(self, batch: CrystalBatch, *, with_forces: bool = False) -> Evaluation:
        """Return energies (eV/atom), corrected and raw, and, if asked, forces and stress."""
        builder = EvaluationBuilder(batch.num_atoms, 0, forces=with_forces, stress=with_forces)
        for group in packed(self._prepare(batch, builder, with_forces), _edges, _EDGES_PER_PASS[with_forces]):
            self._evaluate_group(group, builder, with_forces)
        return builder.build()

    def _prepare(self, batch: CrystalBatch, builder: EvaluationBuilder, with_forces: bool) -> Iterator[_Item]:
        """Yield what can be evaluated; record why the rest cannot."""
        for index, crystal in enumerate(batch):
            problem = screen(crystal.lattice, crystal.numbers, crystal.frac_coords, self.elements)
            item = problem or self._item(index, crystal, _MAX_EDGES[with_forces])
            if isinstance(item, _Item):
                yield item
            else:
                builder.fail(index, *item)

    def _item(self, index: int, crystal: Crystal, most: int) -> _Item | tuple[Status, str]:
        try:
            bonds = find_neighbors(crystal.lattice, crystal.frac_coords, self._network.cutoff)
        except SearchTooLargeError as error:
            return Status.CALCULATOR_FAILED, str(error)
        if len(bonds.distance) > most:
            found = f"{len(bonds.distance)} pairs within {self._network.cutoff:g} A"
            return Status.CALCULATOR_FAILED, f"its atoms form {found}, more than {most}"
        if not bool((bonds.distance > 0).all()):
            return Status.TOO_CLOSE, "two of its atoms lie on one point"
        try:
            correction = correction_per_atom(crystal)
        except ValueError as error:
            return Status.CALCULATOR_FAILED, str(error)
        return _Item(index=index, numbers=crystal.numbers, bonds=bonds, correction=correction)

    def _evaluate_group(self, group: list[_Item], builder: EvaluationBuilder, with_forces: bool) -> None:
        try:
            self._run(group, builder, with_forces)
        except RuntimeError as error:  # out of memory, above all: find the one that is to blame
            if len(group) == 1:
                builder.fail(group[0].index, Status.CALCULATOR_FAILED, f"SevenNet stopped: {error}")
                return
            for half in (group[: len(group) // 2], group[len(group) // 2 :]):
                self._evaluate_group(half, builder, with_forces)

    def _run(self, group: list[_Item], builder: EvaluationBuilder, with_forces: bool) -> None:
        bonds = [item.bonds for item in group]
        rows = [np.array([self._network.row_of[int(z)] for z in item.numbers]) for item in group]
        forces: list[NDArray[np.float64] | None] = [None] * len(group)
        stresses: list[NDArray[np.float64] | None] = [None] * len(group)
        if with_forces:
            energies, gradient = self._network.derivatives(bonds, rows)
            ends = np.cumsum([len(b.distance) for b in bonds])
            for place, by_edge in enumerate(np.split(gradient, ends[:-1])):
                forces[place], stresses[place] = _forces_and_stress(group[place], by_edge)
        else:
            energies = self._network.energies(bonds, rows)
        for item, energy, force, stress in zip(group, energies, forces, stresses, strict=True):
            raw = float(energy) / len(item.numbers)
            builder.add(
                item.index, raw + item.correction, forces=force, stress=stress, raw_energy_per_atom=raw
            )


def _forces_and_stress(
    item: _Item, by_edge: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Forces (N, 3) and stress (3, 3) from the derivative (P, 3) of the energy by each edge's vector."""
    forces = np.zeros((len(item.numbers), 3))
    np.add.at(forces, item.bonds.center, by_edge)
    np.subtract.at(forces, item.bonds.neighbor, by_edge)
    volume = abs(float(np.linalg.det(item.bonds.lattice)))
    return forces, edge_vectors(item.bonds).T @ by_edge / volume


def _edges(item: _Item) -> int:
    return len(item.bonds.distance)
