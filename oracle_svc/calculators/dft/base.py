"""The common part of the DFT codes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator as AseBase
from ase.calculators.calculator import kptdensity2monkhorstpack
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from oracle_svc.calculators.base import Evaluation, EvaluationBuilder, digest_of
from oracle_svc.calculators.screen import screen
from oracle_svc.status import Status
from xenolith.crystal import CrystalBatch
from xenolith.elements import atomic_number

if TYPE_CHECKING:
    from xenolith.crystal import Crystal

__all__ = ["DftCalculator", "DftSettings", "NotConvergedError", "checked_settings", "kpoint_grid"]

S = TypeVar("S", bound="DftSettings")


class NotConvergedError(Exception):
    """The self-consistent field did not converge; the message says what to change."""


class DftSettings(BaseModel):
    """Settings that every DFT calculator has."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    elements: tuple[str, ...] | None = Field(
        None, description="symbols of the elements to compute; others are UNSUPPORTED_ELEMENT; none: all"
    )

    def physics(self) -> dict[str, Any]:
        """Settings that change numbers, as JSON: which elements are let in does not."""
        return self.model_dump(mode="json", exclude={"elements"})


class DftCalculator(ABC):
    """Energies, forces and stress of a DFT code, one structure at a time.

    Parameters
    ----------
    code
        Name of the code.
    version
        Version of the code and what comes with it.
    scheme
        Energy scheme; energies of different schemes never share a hull.
    licence
        Licence of the code.
    settings
        Checked already.
    available
        Symbols of the elements for which the code has what it needs.
    further
        What else changes numbers, such as digests of pseudopotentials: JSON.
    """

    embedding_size = 0
    long_running: ClassVar[bool] = True
    offers_forces = True
    offers_stress = True

    def __init__(
        self,
        *,
        code: str,
        version: str,
        scheme: str,
        licence: str,
        settings: DftSettings,
        available: frozenset[str],
        further: dict[str, Any] | None = None,
    ) -> None:
        self.version, self.scheme, self.licence = version, scheme, licence
        self.elements = _numbers(code, settings.elements, available)
        self.parameters = settings.physics()
        self.settings = {
            name: f"{field.description} (here {getattr(settings, name)})"
            for name, field in type(settings).model_fields.items()
        }
        self.settings_digest = digest_of(
            {"code": code, "version": version, "settings": self.parameters, "further": further or {}}
        )
        self.id = f"{scheme}-{self.settings_digest[:8]}"

    @abstractmethod
    def attach(self, atoms: Atoms) -> AseBase:
        """Return a fresh ASE calculator for these atoms; it writes into the working directory alone."""

    def explain(self, error: Exception) -> str:
        """Explain a failure in the user's terms."""
        return f"{type(error).__name__}: {error}".strip(": ")

    def evaluate(self, batch: CrystalBatch, *, with_forces: bool = False) -> Evaluation:
        """Return energies (eV/atom, extrapolated to no smearing), and forces and stress if asked.

        Whatever the code does wrong concerns that structure alone.
        """
        builder = EvaluationBuilder(batch.num_atoms, 0, forces=with_forces, stress=with_forces)
        for index, crystal in enumerate(batch):
            problem = screen(crystal.lattice, crystal.numbers, crystal.frac_coords, self.elements)
            if problem is not None:
                builder.fail(index, *problem)
                continue
            try:
                self._compute(builder, index, crystal, with_forces)
            except Exception as error:  # noqa: BLE001 - third-party code: any failure is this structure's outcome
                text = f"{self.id} stopped: {self.explain(error)}"
                builder.fail(index, Status.CALCULATOR_FAILED, text)
        return builder.build()

    def _compute(self, builder: EvaluationBuilder, index: int, crystal: Crystal, with_forces: bool) -> None:
        atoms = Atoms(
            numbers=crystal.numbers, cell=crystal.lattice, scaled_positions=crystal.frac_coords, pbc=True
        )
        atoms.calc = self.attach(atoms)
        builder.add(
            index,
            float(atoms.get_potential_energy()) / crystal.num_atoms,
            forces=np.array(atoms.get_forces()) if with_forces else None,
            stress=np.array(atoms.get_stress(voigt=False)) if with_forces else None,
        )


def checked_settings(code: str, model: type[S], given: dict[str, Any]) -> S:
    """Settings of a code.

    Raises
    ------
    ValueError
        A name is unknown or a value out of range; names it, and the settings there are.
    """
    try:
        return model(**given)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        known = ", ".join(model.model_fields)
        raise ValueError(f"settings of {code}: {problems} (there are {known})") from error


def kpoint_grid(atoms: Atoms, density: float) -> tuple[int, int, int]:
    """Points of a uniform grid along each reciprocal axis, at least `density` points per 1/Angstrom."""
    size = kptdensity2monkhorstpack(atoms, kptdensity=density, even=False)
    return int(size[0]), int(size[1]), int(size[2])


def _numbers(code: str, wanted: tuple[str, ...] | None, available: frozenset[str]) -> frozenset[int]:
    missing = sorted(set(wanted or ()) - available)
    if missing:
        raise ValueError(
            f"{code} has no potential for {', '.join(missing)} here: leave them out of `elements`"
        )
    return frozenset(atomic_number(symbol) for symbol in (wanted or available))
