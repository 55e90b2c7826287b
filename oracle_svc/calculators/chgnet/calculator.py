"""CHGNet 0.3.0: energies, forces, stress and crystal features in batches; weights of the `chgnet` package.

Source: Deng et al., Nature Machine Intelligence 5, 1031 (2023). Energies are on the scale of the
Materials Project with its 2020 corrections, so they compare with MP2020-corrected DFT entries.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from oracle_svc.calculators.base import Evaluation, EvaluationBuilder, device_settings, digest_of
from oracle_svc.calculators.chgnet.graph import ATOM_CUTOFF, Bonds, find_bonds, merge
from oracle_svc.calculators.chgnet.network import ChgnetNetwork
from oracle_svc.calculators.screen import screen
from oracle_svc.crystals.neighbors import SearchTooLargeError
from oracle_svc.status import Status

if TYPE_CHECKING:
    from xenolith.crystal import CrystalBatch

__all__ = ["ChgnetCalculator", "verified_file"]

_CHECKPOINT = "pretrained/0.3.0/chgnet_0.3.0_e29f68s314m37.pth.tar"
_CHECKPOINT_SHA256 = "d14ab7c0f093efe64b60a7bcd540bca10e74fb7f46c86108a079af60524659d1"
# Elements of its training set, MPtrj: hydrogen to plutonium without Po, At, Rn, Fr and Ra.
_ELEMENTS = frozenset(range(1, 84)) | frozenset(range(89, 95))
# Rows (edges and angles) of one pass: large enough to hide Python, small enough to stay in cache.
_ROWS_PER_PASS = 16_000
# Most rows of one structure: about 600 MB of work space.
_MAX_ROWS = 400_000


@dataclass(frozen=True, kw_only=True)
class _Item:
    index: int
    numbers: NDArray[np.int32]
    bonds: Bonds
    rows: int
    volume: float


class ChgnetCalculator:
    """CHGNet 0.3.0 on any torch device.

    Parameters
    ----------
    device
        Torch device, `cpu` by default.

    Raises
    ------
    FileNotFoundError
        If the `chgnet` package or its 0.3.0 weights are not installed.
    ValueError
        If the installed weights are not the published ones.
    """

    id = "chgnet-0.3.0"
    scheme = "MP2020-corrected GGA/GGA+U"
    licence = "weights and model: BSD-3-Clause, CHGNet developers"
    elements = _ELEMENTS
    embedding_size = 64
    offers_forces = True
    offers_stress = True
    settings_digest = digest_of({"id": "chgnet", "version": "0.3.0", "weights": _CHECKPOINT_SHA256})
    checkpoint = (_CHECKPOINT, _CHECKPOINT_SHA256)
    """File inside the `chgnet` package, and its SHA-256 (hex)."""

    def __init__(self, *, device: str = "cpu") -> None:
        self.settings, self.parameters = device_settings(device), {"device": device}
        self.version = version("chgnet")
        checkpoint = torch.load(verified_file(*self.checkpoint), map_location="cpu", weights_only=True)
        self._network = ChgnetNetwork(checkpoint["model"]["state_dict"], torch.device(device))

    def evaluate(self, batch: CrystalBatch, *, with_forces: bool = False) -> Evaluation:
        """Return energies (eV/atom), crystal features and, if asked, forces and stress.

        The features are CHGNet's `crystal_fea` divided by the number of atoms, i.e. the mean of the
        normalised atom features, so that a supercell has the features of its cell. Each energy
        is independent of the batch to rounding (about 1e-6 eV/atom).
        """
        builder = EvaluationBuilder(
            batch.num_atoms, self.embedding_size, forces=with_forces, stress=with_forces
        )
        evaluate = self._differentiate if with_forces else self._energies
        for group in _pack(list(self._prepare(batch, builder))):
            self._evaluate_group(group, builder, evaluate)
        return builder.build()

    def _prepare(self, batch: CrystalBatch, builder: EvaluationBuilder) -> Iterator[_Item]:
        """Yield what can be evaluated; record why the rest cannot."""
        ends = np.cumsum(batch.num_atoms)
        for index, (count, end) in enumerate(zip(batch.num_atoms, ends, strict=True)):
            atoms = slice(end - count, end)
            numbers, coords = batch.numbers[atoms], batch.frac_coords[atoms]
            problem = screen(batch.lattices[index], numbers, coords, self.elements)
            item = problem or self._item(index, batch.lattices[index], numbers, coords)
            if isinstance(item, _Item):
                yield item
            else:
                builder.fail(index, *item)

    @staticmethod
    def _item(
        index: int, lattice: NDArray[np.float64], numbers: NDArray[np.int32], coords: NDArray[np.float64]
    ) -> _Item | tuple[Status, str]:
        try:
            bonds = find_bonds(lattice, coords)
        except SearchTooLargeError as error:
            return Status.CALCULATOR_FAILED, str(error)
        rows = 2 * len(bonds.length) + bonds.num_angles
        volume = abs(float(np.linalg.det(lattice)))
        item = _Item(index=index, numbers=numbers, bonds=bonds, rows=rows, volume=volume)
        return _graph_problem(bonds, rows) or item

    def _evaluate_group(
        self,
        group: list[_Item],
        builder: EvaluationBuilder,
        evaluate: Callable[[list[_Item], EvaluationBuilder], None],
    ) -> None:
        try:
            evaluate(group, builder)
        except RuntimeError as error:  # out of memory, above all: find the one that is to blame
            if len(group) == 1:
                builder.fail(group[0].index, Status.CALCULATOR_FAILED, f"CHGNet stopped: {error}")
                return
            for half in (group[: len(group) // 2], group[len(group) // 2 :]):
                self._evaluate_group(half, builder, evaluate)

    def _energies(self, group: list[_Item], builder: EvaluationBuilder) -> None:
        energies, embeddings = self._network(merge([i.bonds for i in group], [i.numbers for i in group]))
        rows = zip(group, energies.double().cpu().numpy(), embeddings.cpu().numpy(), strict=True)
        for item, energy, embedding in rows:
            builder.add(item.index, float(energy), embedding)

    def _differentiate(self, group: list[_Item], builder: EvaluationBuilder) -> None:
        graph = merge([i.bonds for i in group], [i.numbers for i in group])
        energies, embeddings, gradient = self._network.differentiate(graph)
        ends = np.cumsum([len(item.bonds.length) for item in group])
        by_item = np.split(gradient.double().cpu().numpy(), ends[:-1])
        rows = zip(group, energies.double().cpu().numpy(), embeddings.cpu().numpy(), by_item, strict=True)
        for item, energy, embedding, by_bond in rows:
            forces, stress = _forces_and_stress(item, by_bond)
            builder.add(item.index, float(energy), embedding, forces=forces, stress=stress)


def _forces_and_stress(
    item: _Item, by_bond: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Forces (N, 3) and stress (3, 3) from the derivative (U, 3) of the energy by each bond's vector."""
    forces = np.zeros((len(item.numbers), 3))
    np.subtract.at(forces, item.bonds.first, by_bond)
    np.add.at(forces, item.bonds.second, by_bond)
    return forces, item.bonds.vector.T @ by_bond / item.volume


def _graph_problem(bonds: Bonds, rows: int) -> tuple[Status, str] | None:
    if bonds.num_isolated:
        return Status.CALCULATOR_FAILED, (
            f"{bonds.num_isolated} of its atoms have no neighbour within {ATOM_CUTOFF:g} A, "
            "where CHGNet is not defined"
        )
    if not bool((bonds.length > 0).all()):
        return Status.TOO_CLOSE, "two of its atoms lie on one point"
    if rows > _MAX_ROWS:
        return Status.CALCULATOR_FAILED, f"its atoms form {rows} bonds and angles, more than {_MAX_ROWS}"
    return None


def _pack(items: list[_Item]) -> Iterator[list[_Item]]:
    """Group items of similar size up to the row limit of one pass."""
    group: list[_Item] = []
    rows = 0
    for item in sorted(items, key=lambda i: i.rows):
        if group and rows + item.rows > _ROWS_PER_PASS:
            yield group
            group, rows = [], 0
        group.append(item)
        rows += item.rows
    if group:
        yield group


def verified_file(name: str, sha256: str) -> Path:
    """Return the path of a file of the `chgnet` package after comparing its digest."""
    spec = find_spec("chgnet")
    path = Path(spec.origin).parent / name if spec and spec.origin else None
    if path is None or not path.is_file():
        raise FileNotFoundError(
            f"the chgnet package or its {name} is not installed: install Xenolith with its oracle extra "
            "(pip install 'xenolith[oracle]')"
        )
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != sha256:
        raise ValueError(f"{path} has SHA-256 {digest}, not the published {sha256}: reinstall chgnet")
    return path
