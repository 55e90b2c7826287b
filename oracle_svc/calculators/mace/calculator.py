"""MACE: energies and invariant features in batches, from a converted checkpoint.

Source: Batatia et al., NeurIPS 2022. A folder made by `mace_convert` holds the model as JSON and
safetensors; nothing is unpickled here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import structlog
import torch
from numpy.typing import NDArray

from oracle_svc.calculators.base import Evaluation, EvaluationBuilder, device_settings, digest_of
from oracle_svc.calculators.mace.fetch import fetch
from oracle_svc.calculators.mace.graph import sparse_graph
from oracle_svc.calculators.mace.library import MaceLibrary
from oracle_svc.calculators.mace.model import CONFIG, WEIGHTS, load_model
from oracle_svc.calculators.mace.network import MaceNetwork, unsupported
from oracle_svc.calculators.packing import packed
from oracle_svc.calculators.screen import screen
from oracle_svc.crystals.neighbors import Neighbors, SearchTooLargeError, find_neighbors
from oracle_svc.status import Status
from xenolith.bundle import sha256

if TYPE_CHECKING:
    from xenolith.crystal import CrystalBatch

__all__ = ["MaceCalculator", "mace_mpa_0"]

log = structlog.get_logger(__name__)
# Edges of one pass, both directions. On a CPU more than about 15 crystals of MP-20 bring nothing.
_EDGES_PER_PASS = {"cpu": 12_000, "elsewhere": 200_000}
# Most edges of one structure: a few GB of work space with the largest published models.
_MAX_EDGES = 120_000
_DTYPES = {"float32": torch.float32, "float64": torch.float64}


@dataclass(frozen=True, kw_only=True)
class _Item:
    index: int
    numbers: NDArray[np.int32]
    bonds: Neighbors


class MaceCalculator:
    """A MACE model.

    Parameters
    ----------
    path
        Folder made by `python -m oracle_svc.calculators.mace.convert`.
    model
        Instead of a path: name of a published model, `mace-mpa-0`, which is downloaded when first used.
    name
        Name under which its energies go; the default is made of the digest of its files.
    scheme
        Energy scheme of its training data, such as `MP2020-corrected GGA/GGA+U`.
    licence
        Licence of the weights.
    dtype
        `float32` or `float64`.
    device
        Torch device.
    head
        Which head of a model with several; None for its only one.
    library
        Use MACE's own forward pass, which gives the same numbers to rounding, more slowly. Architectures
        that the fast one does not know use it anyway, and say so in the log.

    Raises
    ------
    ValueError
        If the folder holds no model, the head does not exist, or a published model cannot be had.
    """

    offers_forces = True
    offers_stress = True

    def __init__(
        self,
        *,
        path: str | Path | None = None,
        model: str | None = None,
        name: str | None = None,
        scheme: str = "",
        licence: str = "",
        dtype: str = "float32",
        device: str = "cpu",
        head: str | None = None,
        library: bool = False,
    ) -> None:
        if dtype not in _DTYPES:
            raise ValueError(f"dtype {dtype!r} is neither of {', '.join(_DTYPES)}")
        self._dtype, self._device = _DTYPES[dtype], torch.device(device)
        self.settings, self.parameters = device_settings(device), {"device": device}
        if (path is None) == (model is None):
            raise ValueError("give either the path of a converted model, or the name of a published one")
        published, folder = fetch(model) if model is not None else (None, Path(path or ""))
        loaded: Any = load_model(folder, self._dtype).to(self._device).requires_grad_(False)
        self._head = _head_index(list(loaded.heads), head)
        self._row_of = {int(z): row for row, z in enumerate(loaded.atomic_numbers.tolist())}
        self._cutoff = float(loaded.r_max)
        self._library = MaceLibrary(loaded, self._dtype, self._device)
        reason = "it was asked for" if library else unsupported(loaded)
        self._network = None if reason else MaceNetwork(loaded)
        if reason:
            log.info("MACE's own forward pass is used, which is several times slower", reason=reason)
        # What a published file is converted to may vary with the library; its own digest does not.
        digest = published.sha256 if published else _digest_of_files(folder)
        self.id = name or (published.name if published else f"mace-{digest[:12]}")
        self.version = version("mace-torch")
        self.scheme = scheme or (published.scheme if published else self.id)
        self.licence = licence or (published.licence if published else "")
        self.elements = frozenset(self._row_of)
        self.embedding_size = self._library.embedding_size
        self.settings_digest = digest_of({"id": self.id, "files": digest, "dtype": dtype, "head": self._head})

    def evaluate(self, batch: CrystalBatch, *, with_forces: bool = False) -> Evaluation:
        """Return energies (eV/atom), features and, if asked, forces and stress.

        The features are the invariant ones of all layers, averaged over the atoms.
        """
        builder = EvaluationBuilder(
            batch.num_atoms, self.embedding_size, forces=with_forces, stress=with_forces
        )
        most = _EDGES_PER_PASS["cpu" if self._device.type == "cpu" else "elsewhere"]
        for group in packed(list(self._prepare(batch, builder)), _edges, most):
            self._evaluate_group(group, builder, with_forces)
        return builder.build()

    def _prepare(self, batch: CrystalBatch, builder: EvaluationBuilder) -> Iterator[_Item]:
        for index, crystal in enumerate(batch):
            problem = screen(crystal.lattice, crystal.numbers, crystal.frac_coords, self.elements)
            if problem is not None:
                builder.fail(index, *problem)
                continue
            try:
                bonds = find_neighbors(crystal.lattice, crystal.frac_coords, self._cutoff)
            except SearchTooLargeError as error:
                builder.fail(index, Status.CALCULATOR_FAILED, str(error))
                continue
            if len(bonds.distance) > _MAX_EDGES:
                found = f"{len(bonds.distance)} pairs within {self._cutoff:g} A"
                text = f"its atoms form {found}, more than {_MAX_EDGES}"
                builder.fail(index, Status.CALCULATOR_FAILED, text)
                continue
            yield _Item(index=index, numbers=crystal.numbers, bonds=bonds)

    def _evaluate_group(self, group: list[_Item], builder: EvaluationBuilder, with_forces: bool) -> None:
        try:
            result = self._run(group, with_forces)
        except RuntimeError as error:  # out of memory, above all: find the one that is to blame
            if len(group) == 1:
                builder.fail(group[0].index, Status.CALCULATOR_FAILED, f"MACE stopped: {error}")
                return
            for half in (group[: len(group) // 2], group[len(group) // 2 :]):
                self._evaluate_group(half, builder, with_forces)
            return
        begin = 0
        for place, item in enumerate(group):
            count = len(item.numbers)
            atoms = slice(begin, begin + count)
            builder.add(
                item.index,
                float(result["energy"][place]) / count,
                result["features"][atoms].mean(axis=0),
                forces=result["forces"][atoms] if with_forces else None,
                stress=result["stress"][place] if with_forces else None,
            )
            begin += count

    def _run(self, group: list[_Item], with_forces: bool) -> dict[str, NDArray[np.floating]]:
        """Numbers of a group: `energy` (B,), `features` (T, D), and `forces` and `stress` if asked."""
        bonds = [item.bonds for item in group]
        rows = [np.array([self._row_of[int(z)] for z in item.numbers]) for item in group]
        if self._network is None:
            return self._library.evaluate(bonds, rows, self._head, with_forces=with_forces)
        graph = sparse_graph(bonds, rows)
        found = self._network.evaluate(graph, self._head, with_forces=with_forces)
        numbers: dict[str, NDArray[np.floating]] = {
            "energy": found.energy,
            "features": found.features.astype(np.float32),
        }
        if found.forces is not None and found.virial is not None:
            volumes = np.abs(np.linalg.det(np.array([item.bonds.lattice for item in group])))
            numbers |= {"forces": found.forces, "stress": found.virial / volumes[:, None, None]}
        return numbers


def mace_mpa_0(**settings: Any) -> MaceCalculator:
    """MACE-MPA-0 (medium), with the other settings of `MaceCalculator`."""
    return MaceCalculator(model="mace-mpa-0", **settings)


def _digest_of_files(folder: Path) -> str:
    return hashlib.sha256(f"{sha256(folder / CONFIG)} {sha256(folder / WEIGHTS)}".encode()).hexdigest()


def _head_index(heads: list[str], wanted: str | None) -> int:
    if wanted is None and len(heads) == 1:
        return 0
    if wanted not in heads:
        raise ValueError(f"choose a head of the model: {', '.join(heads)}")
    return heads.index(wanted)


def _edges(item: _Item) -> int:
    return len(item.bonds.distance)
