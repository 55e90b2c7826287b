"""Quantum ESPRESSO's pw.x through ASE, with pseudopotentials of yours."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, Literal

from ase import Atoms
from ase.calculators.calculator import Calculator as AseBase
from pydantic import Field

from oracle_svc.calculators.dft.base import DftCalculator, DftSettings, checked_settings, kpoint_grid
from xenolith.bundle import sha256
from xenolith.elements import SYMBOLS

__all__ = ["EspressoCalculator", "EspressoSettings"]

_RYDBERG_EV = 13.605693122994
_VERSION = re.compile(r"v\.?\s*([0-9][0-9.A-Za-z]*)")


class EspressoSettings(DftSettings):
    """Settings of Quantum ESPRESSO."""

    pseudopotentials: Path = Field(
        description="folder of UPF files, one per element, named after it: Si.pbe.UPF, na_pbe_v1.UPF, ..."
    )
    command: str = Field("pw.x", description="how to start it, such as: mpirun -np 8 pw.x")
    cutoff_ev: float = Field(680.0, gt=50, description="plane-wave cutoff of wave functions, eV")
    density_cutoff_factor: float = Field(
        8.0, ge=4, description="cutoff of the density over that of wave functions: 4 for norm-conserving"
    )
    kpoint_density: float = Field(3.0, gt=0, description="k-points per 1/Angstrom along each axis")
    smearing_ev: float = Field(0.1, gt=0, description="width of the smearing, eV")
    smearing: Literal["mv", "gaussian", "mp", "fd"] = Field("mv", description="kind of smearing")
    spin_polarised: bool = Field(False, description="with spin; each species starts half magnetised")
    energy_convergence_ev: float = Field(1e-6, gt=0, description="convergence of the total energy, eV")
    max_scf_steps: int = Field(100, ge=5, description="most steps of the self-consistent field")

    def physics(self) -> dict[str, Any]:
        """Settings that change numbers: not how it is started, nor where its files lie."""
        plain = super().physics()
        return {name: plain[name] for name in plain if name not in {"command", "pseudopotentials"}}


class EspressoCalculator(DftCalculator):
    """Energies of Quantum ESPRESSO.

    Parameters
    ----------
    settings
        Those of `EspressoSettings`.

    Raises
    ------
    ValueError
        A setting is wrong, or an element has no pseudopotential or several.
    """

    def __init__(self, **settings: Any) -> None:
        chosen = checked_settings("espresso", EspressoSettings, settings)
        self._chosen = chosen
        self._files = _pseudopotentials(chosen.pseudopotentials)
        wanted = chosen.elements or tuple(self._files)
        used = {symbol: self._files[symbol] for symbol in wanted if symbol in self._files}
        super().__init__(
            code="espresso",
            version=_version(chosen.command),
            scheme=f"espresso-pw{chosen.cutoff_ev:g}",
            licence="GPL-2.0-or-later",
            settings=chosen,
            available=frozenset(self._files),
            # Of the files in use alone: one that is added for another element changes nothing.
            further={symbol: sha256(path) for symbol, path in used.items()},
        )

    def attach(self, atoms: Atoms) -> AseBase:
        """Return an ASE calculator that runs in the working directory."""
        from ase.calculators.espresso import Espresso, EspressoProfile

        chosen = self._chosen
        calculator: Any = Espresso(
            profile=EspressoProfile(
                command=chosen.command, pseudo_dir=str(chosen.pseudopotentials.resolve())
            ),
            directory=".",
            **self.inputs(atoms),
        )
        made: AseBase = calculator
        return made

    def inputs(self, atoms: Atoms) -> dict[str, Any]:
        """Return the settings that ASE writes into the input file."""
        chosen = self._chosen
        present = sorted(set(atoms.get_chemical_symbols()))
        system: dict[str, Any] = {
            "ecutwfc": chosen.cutoff_ev / _RYDBERG_EV,
            "ecutrho": chosen.density_cutoff_factor * chosen.cutoff_ev / _RYDBERG_EV,
            "occupations": "smearing",
            "smearing": chosen.smearing,
            "degauss": chosen.smearing_ev / _RYDBERG_EV,
        }
        if chosen.spin_polarised:
            system["nspin"] = 2
            atoms.set_initial_magnetic_moments([0.5] * len(atoms))
        return {
            "pseudopotentials": {symbol: self._files[symbol].name for symbol in present},
            "kpts": kpoint_grid(atoms, chosen.kpoint_density),
            "koffset": (0, 0, 0),
            "input_data": {
                "control": {"calculation": "scf", "tprnfor": True, "tstress": True, "disk_io": "low"},
                "system": system,
                "electrons": {
                    "conv_thr": chosen.energy_convergence_ev / _RYDBERG_EV,
                    "electron_maxstep": chosen.max_scf_steps,
                },
            },
        }


def _pseudopotentials(folder: Path) -> dict[str, Path]:
    """UPF files by element: the letters that a name begins with are its symbol."""
    found: dict[str, list[Path]] = {}
    for file in sorted(folder.glob("*.[uU][pP][fF]")):
        letters = re.match(r"[A-Za-z]{1,2}(?![A-Za-z])", file.name)
        symbol = letters.group().capitalize() if letters else ""
        if symbol in SYMBOLS[1:]:
            found.setdefault(symbol, []).append(file)
    if not found:
        raise ValueError(f"{folder} holds no pseudopotentials (*.UPF, named after their element)")
    several = {symbol: files for symbol, files in found.items() if len(files) > 1}
    if several:
        symbol, files = next(iter(several.items()))
        raise ValueError(
            f"{folder} holds several pseudopotentials for {symbol}: {files[0].name}, {files[1].name}"
        )
    return {symbol: files[0] for symbol, files in found.items()}


def _version(command: str) -> str:
    """Version that the program tells; it is part of what a result depends on."""
    words = command.split()
    if shutil.which(words[-1]) is None:
        raise ValueError(f"{words[-1]} is not on PATH: install Quantum ESPRESSO, or name it in `command`")
    # Without input it prints its header and stops.
    told = subprocess.run(
        [words[-1]], input="", capture_output=True, text=True, timeout=60, check=False
    ).stdout
    found = _VERSION.search(told)
    return found.group(1) if found else "unknown"
