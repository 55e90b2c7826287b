"""Any ASE calculator as an oracle calculator, one structure at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator as AseBase

from oracle_svc.calculators.base import Evaluation, EvaluationBuilder, digest_of
from oracle_svc.calculators.screen import screen
from oracle_svc.status import Status
from xenolith.crystal import CrystalBatch
from xenolith.elements import atomic_number

if TYPE_CHECKING:
    from xenolith.crystal import Crystal

__all__ = ["AseCalculator"]


class AseCalculator:
    """Energies of an ASE calculator, made by a factory named by its import path.

    Parameters
    ----------
    factory
        `package.module:callable`; called with `options`, it returns an `ase` calculator.
    options
        Keyword arguments of the factory, JSON values.
    id
        Name under which the energies go; it must change with everything that changes them.
    version
        Version of the code behind it.
    scheme
        Energy scheme; energies of different schemes never share a hull.
    licence
        Licence of the code.
    elements
        Symbols of the elements covered; None for all 118.
    long_running
        Whether a structure takes minutes or more, so that each is to be a job of its own.

    Raises
    ------
    ValueError
        If the factory cannot be imported, returns something else, or an element is unknown.
    """

    embedding_size = 0

    def __init__(
        self,
        *,
        factory: str,
        options: dict[str, Any] | None = None,
        id: str,  # noqa: A002 - the name of the contract's field
        version: str = "",
        scheme: str = "",
        licence: str = "",
        elements: Iterable[str] | None = None,
        long_running: bool = False,
    ) -> None:
        self.id = id
        self.version = version
        self.scheme = scheme or id
        self.licence = licence
        self.long_running = long_running
        self.elements = _numbers(elements)
        self.settings_digest = digest_of(
            {
                "id": id,
                "version": version,
                "factory": factory,
                "options": options or {},
            }
        )
        self._ase = _made(factory, options or {})

    @property
    def offers_forces(self) -> bool:
        """Whether the ASE calculator says that it gives forces."""
        return "forces" in self._ase.implemented_properties

    @property
    def offers_stress(self) -> bool:
        """Whether the ASE calculator says that it gives stress."""
        return "stress" in self._ase.implemented_properties

    def evaluate(self, batch: CrystalBatch, *, with_forces: bool = False) -> Evaluation:
        """Return energies (eV/atom), and forces and stress as far as the calculator has them.

        Whatever the calculator raises concerns that structure alone.
        """
        forces, stress = with_forces and self.offers_forces, with_forces and self.offers_stress
        builder = EvaluationBuilder(batch.num_atoms, 0, forces=forces, stress=stress)
        for index, crystal in enumerate(batch):
            problem = screen(crystal.lattice, crystal.numbers, crystal.frac_coords, self.elements)
            if problem is not None:
                builder.fail(index, *problem)
                continue
            try:
                atoms = self._atoms(crystal)
                builder.add(
                    index,
                    float(atoms.get_potential_energy()) / crystal.num_atoms,
                    forces=np.array(atoms.get_forces()) if forces else None,
                    stress=np.array(atoms.get_stress(voigt=False)) if stress else None,
                )
            except Exception as error:  # noqa: BLE001 - third-party code: any failure is this structure's outcome
                message = f"{type(error).__name__}: {error}".strip(": ")
                builder.fail(index, Status.CALCULATOR_FAILED, f"{self.id} stopped: {message}")
        return builder.build()

    def _atoms(self, crystal: Crystal) -> Atoms:
        atoms = Atoms(
            numbers=crystal.numbers, cell=crystal.lattice, scaled_positions=crystal.frac_coords, pbc=True
        )
        atoms.calc = self._ase
        return atoms


def _numbers(symbols: Iterable[str] | None) -> frozenset[int]:
    if symbols is None:
        return frozenset(range(1, 119))
    try:
        return frozenset(atomic_number(symbol) for symbol in symbols)
    except KeyError as error:
        raise ValueError(f"no element has the symbol {error}") from error


def _made(factory: str, options: dict[str, Any]) -> AseBase:
    module, _, attribute = factory.partition(":")
    try:
        make: Callable[..., Any] = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"the factory {factory!r} cannot be imported: {error}") from error
    made = make(**options)
    if not isinstance(made, AseBase):
        raise ValueError(f"{factory} returned {type(made).__name__}, which is no ASE calculator")
    return made
