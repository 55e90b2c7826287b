"""VASP through ASE, with the Materials Project's input sets; program and POTCAR files are yours."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

from ase import Atoms
from ase.calculators.calculator import Calculator as AseBase
from pydantic import Field

from oracle_svc.calculators.dft.base import DftCalculator, DftSettings, NotConvergedError, checked_settings

__all__ = ["VaspCalculator", "VaspSettings"]

_SETS = {"MPStaticSet": "PBE", "MPScanStaticSet": "r2SCAN", "MatPESStaticSet": "PBE"}
_OWN = frozenset({"MAGMOM"})
"""Tags that ASE writes from the atoms."""


class VaspSettings(DftSettings):
    """Settings of VASP."""

    input_set: Literal["MPStaticSet", "MPScanStaticSet", "MatPESStaticSet"] = Field(
        "MPStaticSet", description="pymatgen's input set: cutoff, k-points, +U, smearing and POTCAR choice"
    )
    incar: dict[str, Any] = Field(
        default_factory=dict, description="INCAR tags that differ from the set, such as ENCUT"
    )
    potcars: Path = Field(
        description="folder that holds potpaw_PBE (or potpaw_PBE.54, ...), as VASP ships it"
    )
    command: str = Field("vasp_std", description="how to start it, such as: mpirun -np 16 vasp_std")
    code_version: str = Field(description="version of your VASP, such as 6.4.3: part of every result's name")

    def physics(self) -> dict[str, Any]:
        """Settings that change numbers: not how it is started, nor where its files lie."""
        plain = super().physics()
        return {name: plain[name] for name in plain if name not in {"command", "potcars"}}


class VaspCalculator(DftCalculator):
    """Energies of VASP.

    Parameters
    ----------
    settings
        Those of `VaspSettings`.

    Raises
    ------
    ValueError
        A setting is wrong, or POTCAR files are missing.
    """

    def __init__(self, **settings: Any) -> None:
        chosen = checked_settings("vasp", VaspSettings, settings)
        self._chosen = chosen
        self._folder = _potcars(chosen)
        super().__init__(
            code="vasp",
            version=chosen.code_version,
            scheme=f"vasp-{chosen.input_set.lower()}-{_SETS[chosen.input_set].lower()}",
            licence="commercial",
            settings=chosen,
            available=self._available(),
        )

    def attach(self, atoms: Atoms) -> AseBase:
        """Return an ASE calculator that runs in the working directory.

        Raises
        ------
        NotConvergedError
            By the calculator, when the field does not converge.
        """
        os.environ["VASP_PP_PATH"] = str(self._chosen.potcars.resolve())
        calculator: AseBase = _converging()(command=self._chosen.command, directory=".", **self.inputs(atoms))
        return calculator

    def inputs(self, atoms: Atoms) -> dict[str, Any]:
        """Arguments of ASE's calculator: the set's INCAR, k-points and POTCAR choice for these atoms."""
        made = self._input_set(atoms)
        incar = {name: value for name, value in dict(made.incar).items() if name not in _OWN}
        moments = dict(made.incar).get("MAGMOM")
        if moments is not None:
            atoms.set_initial_magnetic_moments(moments)
        incar |= self._chosen.incar
        return {
            **{name.lower(): value for name, value in incar.items()},
            **_kpoints(made),
            "pp": "PBE",
            "pp_version": self._folder.removeprefix("potpaw_PBE").removeprefix("."),
            "setups": {
                symbol.partition("_")[0]: f"_{symbol.partition('_')[2]}"
                for symbol in made.potcar_symbols
                if "_" in symbol
            },
        }

    def _input_set(self, atoms: Atoms) -> Any:
        from pymatgen.io.ase import AseAtomsAdaptor
        from pymatgen.io.vasp import sets

        plain = atoms.copy()
        plain.calc = None
        make = getattr(sets, self._chosen.input_set)
        # The order is the caller's: ASE sorts for the files, and sorts forces back.
        return make(AseAtomsAdaptor.get_structure(plain), sort_structure=False)

    def _available(self) -> frozenset[str]:
        folder = self._chosen.potcars / self._folder
        names = {path.parent.name.partition("_")[0] for path in folder.glob("*/POTCAR*")}
        return frozenset(names)


def _kpoints(made: Any) -> dict[str, Any]:
    if made.kpoints is None:  # the set asks VASP itself for them, by KSPACING
        return {}
    return {"kpts": tuple(made.kpoints.kpts[0]), "gamma": "gamma" in str(made.kpoints.style).lower()}


def _potcars(chosen: VaspSettings) -> str:
    found = sorted(path.name for path in chosen.potcars.glob("potpaw_PBE*") if path.is_dir())
    if not found:
        raise ValueError(f"{chosen.potcars} holds no potpaw_PBE folder: point `potcars` to VASP's own files")
    return found[0]


def _converging() -> type:
    from ase.calculators.vasp import Vasp

    class Converging(Vasp):
        """ASE's calculator, which itself takes the energy of a field that did not converge."""

        def calculate(self, *args: Any, **kwargs: Any) -> None:
            """Run VASP."""
            super().calculate(*args, **kwargs)  # type: ignore[no-untyped-call]
            if not self.converged:
                raise NotConvergedError(
                    "the self-consistent field did not converge: raise NELM, or choose another ALGO"
                )

    return Converging
