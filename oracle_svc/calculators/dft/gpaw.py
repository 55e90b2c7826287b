"""GPAW in plane waves: `pip install gpaw gpaw-data`, see docs/dft.md."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from ase import Atoms
from ase.calculators.calculator import Calculator as AseBase
from pydantic import Field

from oracle_svc.calculators.dft.base import DftCalculator, DftSettings, checked_settings, kpoint_grid
from xenolith.elements import SYMBOLS

__all__ = ["GpawCalculator", "GpawSettings"]


class GpawSettings(DftSettings):
    """Settings of GPAW."""

    cutoff_ev: float = Field(400.0, gt=50, description="plane-wave cutoff, eV")
    kpoint_density: float = Field(
        3.0, gt=0, description="k-points per 1/Angstrom along each axis, centred on Gamma"
    )
    xc: Literal["PBE", "LDA"] = Field("PBE", description="exchange and correlation: PBE or LDA")
    smearing_ev: float = Field(0.1, gt=0, description="width of the Fermi-Dirac smearing, eV")
    spin_polarised: bool = Field(False, description="with spin; each atom starts with 1 Bohr magneton")
    energy_convergence_ev: float = Field(
        5e-4, gt=0, description="largest change of energy per valence electron in the last steps, eV"
    )
    max_scf_steps: int = Field(100, ge=5, description="most steps of the self-consistent field")


class GpawCalculator(DftCalculator):
    """Energies of GPAW.

    Parameters
    ----------
    settings
        Those of `GpawSettings`.

    Raises
    ------
    ValueError
        A setting is wrong.
    ModuleNotFoundError
        GPAW or its setups are not installed.
    """

    def __init__(self, **settings: Any) -> None:
        chosen = checked_settings("gpaw", GpawSettings, settings)
        self._chosen = chosen
        setups = _setups(chosen.xc)
        super().__init__(
            code="gpaw",
            version=f"{version('gpaw')} with setups {_data_version()}",
            scheme=f"gpaw-{chosen.xc.lower()}-pw{chosen.cutoff_ev:g}",
            licence="GPL-3.0-or-later",
            settings=chosen,
            available=frozenset(setups),
        )

    def attach(self, atoms: Atoms) -> AseBase:
        """Return a fresh GPAW calculator that prints to standard output."""
        from gpaw import GPAW, PW, FermiDirac

        chosen = self._chosen
        if chosen.spin_polarised:
            atoms.set_initial_magnetic_moments([1.0] * len(atoms))
        calculator: Any = GPAW(
            mode=PW(chosen.cutoff_ev),
            xc=chosen.xc,
            kpts={"size": kpoint_grid(atoms, chosen.kpoint_density), "gamma": True},
            occupations=FermiDirac(chosen.smearing_ev),
            spinpol=chosen.spin_polarised,
            convergence={"energy": chosen.energy_convergence_ev},
            maxiter=chosen.max_scf_steps,
            txt="-",
        )
        made: AseBase = calculator
        return made

    def explain(self, error: Exception) -> str:
        """Say what to change when the field does not converge."""
        if type(error).__name__ == "KohnShamConvergenceError":
            return (
                f"the self-consistent field did not converge in {self._chosen.max_scf_steps} steps; raise "
                "max_scf_steps or smearing_ev"
            )
        return super().explain(error)


def _setups(xc: str) -> Mapping[str, Path]:
    """Setup files by element."""
    from gpaw import setup_paths

    ending = f".{xc}"
    found: dict[str, Path] = {}
    for folder in map(Path, setup_paths):
        for file in sorted(folder.glob(f"*{ending}*")):
            symbol = file.name.split(".")[0]
            if symbol in SYMBOLS and file.name in {f"{symbol}{ending}", f"{symbol}{ending}.gz"}:
                found.setdefault(symbol, file)
    if not found:
        raise ValueError(f"GPAW finds no {xc} setups: pip install gpaw-data, or set GPAW_SETUP_PATH")
    return found


def _data_version() -> str:
    try:
        return version("gpaw-data")
    except PackageNotFoundError:
        return "of GPAW_SETUP_PATH"
