"""How users of these tools score crystals today: one structure after the other, each tool as documented.

Every part does what public code for reinforcement learning and evaluation of crystal generators does: an
ASE calculator per structure (which computes forces and stress whether they are wanted or not), pymatgen's
StructureMatcher against all references of the same formula and within the batch, `PatchedPhaseDiagram`
look-ups, AMD by the `amd` package through CIF files, a dictionary of the reference's formulas made anew for
each batch, and a polynomial-kernel MMD with the whole reference in its kernel. None of it is slowed down:
objects are converted and libraries warmed up beforehand, malformed structures, on which several of these
tools raise or hang, are left out, and the phase diagram holds only what these structures need.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oracle_svc.known.hull import Hull
from oracle_svc.known.reference.structures import StructureTable
from xenolith.convert.pymatgen_structure import to_pymatgen
from xenolith.crystal import Crystal

K = 100
KERNEL_ROWS = 3000
DICTIONARY_ROWS = 3000


class Clock:
    """Seconds of each part, added up."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.now = now
        self.seconds: dict[str, float] = {}

    def __call__(self, name: str, action: Callable[[], Any]) -> Any:
        begin = self.now()
        result = action()
        self.seconds[name] = self.seconds.get(name, 0.0) + self.now() - begin
        return result


class SerialPath:
    """The serial path over some structures.

    Parameters
    ----------
    crystals
        Well-formed structures, in the batch's order.
    table
        The known structures.
    hull
        Phases to make the phase diagram of.
    """

    def __init__(self, crystals: Sequence[Crystal], table: StructureTable, hull: Hull) -> None:
        from pymatgen.analysis.structure_matcher import StructureMatcher

        self.structures = [to_pymatgen(crystal) for crystal in crystals]
        self.formulas = [crystal.formula for crystal in crystals]
        self._table = table
        self._matcher = StructureMatcher(ltol=0.2, stol=0.3, angle_tol=5)
        self._references = self._same_formula()
        self._diagram = _diagram(crystals, hull)

    def energies(self, calculator: Any, clock: Clock) -> list[float]:
        """eV/atom, one ASE call each."""
        from pymatgen.io.ase import AseAtomsAdaptor

        def one(structure: Any) -> float:
            atoms = AseAtomsAdaptor.get_atoms(structure)
            atoms.calc = calculator
            return float(atoms.get_potential_energy()) / len(atoms)

        one(self.structures[0])  # libraries load on first use
        return [clock("energy", partial(one, s)) for s in self.structures]

    def above_hull(self, energies: Sequence[float], clock: Clock) -> list[float]:
        from pymatgen.analysis.phase_diagram import PDEntry

        def one(structure: Any, energy: float) -> float:
            entry = PDEntry(structure.composition, energy * len(structure))
            return float(self._diagram.get_e_above_hull(entry, allow_negative=True, on_error="ignore"))

        pairs = zip(self.structures, energies, strict=True)
        return [clock("hull", partial(one, s, e)) for s, e in pairs]

    def unique(self, clock: Clock) -> list[bool]:
        """Whether no earlier member of the batch is the same."""

        def one(index: int) -> bool:
            return not any(self._fit(index, self.structures[j]) for j in self._earlier(index))

        return [clock("unique", partial(one, i)) for i in range(len(self.structures))]

    def novel(self, clock: Clock) -> list[bool]:
        """Whether no reference of the formula is the same."""

        def one(index: int) -> bool:
            return not any(self._fit(index, other) for other in self._references[index])

        return [clock("novel", partial(one, i)) for i in range(len(self.structures))]

    def creativity(self, clock: Clock) -> list[float | None]:
        """Smallest AMD distance to references and earlier members of the formula, through CIF files."""
        _amd(self.structures[0])  # it compiles itself on first use
        return [clock("creativity", partial(self._nearest, i)) for i in range(len(self.structures))]

    def dictionary(self, now: Callable[[], float]) -> float:
        """Seconds of grouping the references by formula, from those of a part of them."""
        part = [to_pymatgen(crystal) for crystal in self._table.batch.take(range(DICTIONARY_ROWS))]
        begin = now()
        groups: dict[str, list[Any]] = {}
        for structure in part:
            groups.setdefault(structure.composition.reduced_formula, []).append(structure)
        return (now() - begin) * len(self._table) / DICTIONARY_ROWS

    def _fit(self, index: int, other: Any) -> bool:
        try:
            return bool(self._matcher.fit(self.structures[index], other))
        except Exception:  # noqa: BLE001 - what it cannot compare, the field counts as different
            return False

    def _earlier(self, index: int) -> list[int]:
        return [j for j in range(index) if self.formulas[j] == self.formulas[index]]

    def _same_formula(self) -> list[list[Any]]:
        wanted = set(self.formulas)
        groups: dict[str, list[Any]] = {formula: [] for formula in wanted}
        for crystal in self._table.batch:
            if crystal.formula in wanted:
                groups[crystal.formula].append(to_pymatgen(crystal))
        return [groups[formula] for formula in self.formulas]

    def _nearest(self, index: int) -> float | None:
        others = [*self._references[index], *(self.structures[j] for j in self._earlier(index))]
        if not others:
            return None
        own = _amd(self.structures[index])
        apart = [float(np.abs(own - _amd(other)).max()) for other in others]
        return min(apart)


def _amd(structure: Any) -> NDArray[np.float64]:
    """AMD vector (k,) by the `amd` package, which reads files."""
    import amd
    from pymatgen.io.cif import CifWriter

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "structure.cif"
        CifWriter(structure).write_file(str(path))
        return np.asarray(amd.AMD(amd.CifReader(str(path)).read(), K))


def _diagram(crystals: Sequence[Crystal], hull: Hull) -> Any:
    from pymatgen.analysis.phase_diagram import PatchedPhaseDiagram, PDEntry
    from pymatgen.core import Composition

    from xenolith.elements import SYMBOLS

    entries: dict[str, Any] = {}
    for system in {tuple(sorted(set(crystal.numbers.tolist()))) for crystal in crystals}:
        for phase in hull.phases(system):
            composition = Composition({SYMBOLS[z]: count for z, count in phase.composition})
            energy = phase.energy_per_atom * composition.num_atoms
            entries[phase.id] = PDEntry(composition, energy, name=phase.id)
    return PatchedPhaseDiagram(list(entries.values()), keep_all_spaces=True)


def mmd_constant(
    reference_size: int, batch_size: int, widths: Sequence[int], now: Callable[[], float]
) -> float:
    """Seconds of the kernels that a batch's MMD needs, from those of a part of the reference.

    For each feature space the kernel of the reference with itself, of the batch with the reference, and of
    the batch with itself: cubic polynomial, as in KID.
    """
    import torch

    rng = torch.Generator().manual_seed(0)
    total = 0.0
    for width in widths:
        reference = torch.randn(KERNEL_ROWS, width, generator=rng, dtype=torch.float64)
        batch = torch.randn(batch_size, width, generator=rng, dtype=torch.float64)
        for one, other, scale in (
            (reference, reference, (reference_size / KERNEL_ROWS) ** 2),
            (batch, reference, reference_size / KERNEL_ROWS),
            (batch, batch, 1.0),
        ):
            begin = now()
            float((one @ other.T / width + 1.0).pow(3).mean())
            total += (now() - begin) * scale
    return total
