"""Inputs of first-principles programs for a crystal, ready to run: VASP, Quantum ESPRESSO, GPAW, atomate2."""

import pprint
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from xenolith.convert import from_pymatgen, to_pymatgen, write_cif
from xenolith.crystal import Crystal
from xenolith.optional import require

__all__ = ["write_flow", "write_inputs"]

STRUCTURE_FILE = "structure.cif"
_CUTOFF_EV = 520.0
"""Plane-wave cutoff of the Materials Project, eV; Quantum ESPRESSO's is its own, for ultrasoft potentials."""
_CUTOFF_RY, _DENSITY_RY = 60.0, 480.0
_KPOINT_SPACING = 0.2
"""Largest distance of k-points, 1/Angstrom, with the factor of 2 pi."""
_SMEARING_EV = 0.1
_NO_MOMENT = 0.6
"""Bohr magnetons with which the Materials Project starts atoms that it does not take for magnetic."""


def write_inputs(crystal: Crystal, folder: Path) -> None:
    """Write inputs that relax cell and atoms with PBE, one folder or file for each program.

    ``structure.cif``; ``vasp/``, the Materials Project's set (PBE, and PBE+U where it takes that) with
    ``POTCAR.spec`` naming the potentials, which VASP's licence keeps from being shipped; ``espresso/pw.in``;
    ``gpaw_relax.py``. Moments start as in the Materials Project everywhere.

    Raises
    ------
    MissingExtraError
        pymatgen is not installed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # One order of atoms for all of them, element after element, as POSCAR and POTCAR want it.
    crystal = from_pymatgen(to_pymatgen(crystal).get_sorted_structure())
    write_cif(crystal, folder / STRUCTURE_FILE)
    moments = _write_vasp(crystal, folder / "vasp")
    _write_espresso(crystal, folder / "espresso", moments)
    (folder / "gpaw_relax.py").write_text(_gpaw(moments), "utf-8")


def write_flow(names: Sequence[str], path: Path) -> None:
    """Write a script that makes a jobflow Flow of atomate2's double relaxation and static run for each name.

    Parameters
    ----------
    names
        Folders beside the script, each as `write_inputs` writes it.
    path
        The script.
    """
    listed = pprint.pformat(list(names), width=100)
    path.write_text(
        _FLOW.replace("NAMES_HERE", listed).replace("STRUCTURE_HERE", repr(STRUCTURE_FILE)), "utf-8"
    )


def _write_vasp(crystal: Crystal, folder: Path) -> list[float]:
    """Write the set; return the moments it starts with, Bohr magnetons, in the crystal's order of atoms."""
    sets: Any = require("pymatgen.io.vasp.sets", "pymatgen")
    with warnings.catch_warnings():
        # The set warns of potentials and of settings that the Materials Project has chosen.
        warnings.simplefilter("ignore")
        made = sets.MPRelaxSet(to_pymatgen(crystal))
        made.write_input(folder, potcar_spec=True)
        return [float(moment) for moment in made.incar["MAGMOM"]]


def _grid(crystal: Crystal) -> tuple[int, ...]:
    """Monkhorst-Pack grid whose points are at most `_KPOINT_SPACING` apart."""
    reciprocal = 2 * np.pi * np.linalg.norm(np.linalg.inv(crystal.lattice), axis=0)
    return tuple(int(n) for n in np.maximum(1, np.ceil(reciprocal / _KPOINT_SPACING - 1e-9)))


def _magnetic(moments: Sequence[float]) -> bool:
    return any(abs(moment) > _NO_MOMENT for moment in moments)


def _write_espresso(crystal: Crystal, folder: Path, moments: Sequence[float]) -> None:
    pwscf: Any = require("pymatgen.io.pwscf", "pymatgen")
    structure = to_pymatgen(crystal)
    symbols = sorted({str(site.specie) for site in structure})  # the order of ATOMIC_SPECIES
    system: dict[str, Any] = {
        "ecutwfc": _CUTOFF_RY,
        "ecutrho": _DENSITY_RY,
        "occupations": "smearing",
        "smearing": "cold",
        "degauss": 0.01,
    }
    if _magnetic(moments):
        system["nspin"] = 2
        largest = dict.fromkeys(symbols, 0.0)
        for site, moment in zip(structure, moments, strict=True):
            largest[str(site.specie)] = max(largest[str(site.specie)], moment)
        for index, symbol in enumerate(symbols, 1):
            # A share of the valence electrons; 0.5 is well above what any magnetic atom ends with.
            system[f"starting_magnetization({index})"] = 0.5 if largest[symbol] > _NO_MOMENT else 0.0
    made = pwscf.PWInput(
        structure,
        pseudo={symbol: f"{symbol}.UPF" for symbol in symbols},
        control={"calculation": "vc-relax", "pseudo_dir": "./pseudo", "outdir": "./out", "prefix": "crystal"},
        system=system,
        electrons={"conv_thr": 1e-9 * crystal.num_atoms, "mixing_beta": 0.4},
        ions={"ion_dynamics": "bfgs"},
        cell={"cell_dynamics": "bfgs"},
        kpoints_grid=_grid(crystal),
        format_options={"coord_decimals": 10},
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pw.in").write_text(f"{made}\n", "utf-8")
    (folder / "README").write_text(
        "mpirun pw.x -in pw.in > pw.out\n"
        "Put the pseudopotentials of SSSP efficiency (PBE) into pseudo/, renamed as ATOMIC_SPECIES asks\n"
        "for, and raise ecutwfc and ecutrho to the largest that SSSP recommends for these elements.\n",
        "utf-8",
    )


def _gpaw(moments: Sequence[float]) -> str:
    magnetic = [round(moment, 2) for moment in moments] if _magnetic(moments) else None
    return (
        _GPAW.replace("MOMENTS_HERE", pprint.pformat(magnetic, width=100, compact=True))
        .replace("CUTOFF_HERE", f"{_CUTOFF_EV:g}")
        .replace("DENSITY_HERE", f"{1 / _KPOINT_SPACING:g}")
        .replace("SMEARING_HERE", f"{_SMEARING_EV:g}")
        .replace("STRUCTURE_HERE", repr(STRUCTURE_FILE))
    )


_GPAW = '''"""Relax cell and atoms with PBE in plane waves: gpaw python gpaw_relax.py"""

from pathlib import Path

from ase.filters import FrechetCellFilter
from ase.io import read, write
from ase.optimize import BFGS
from gpaw import GPAW, PW

here = Path(__file__).parent
atoms = read(here / STRUCTURE_HERE)
moments = MOMENTS_HERE
if moments is not None:
    atoms.set_initial_magnetic_moments(moments)
atoms.calc = GPAW(
    mode=PW(CUTOFF_HERE),  # eV; the stress of a cell that changes wants a high cutoff
    xc="PBE",
    kpts={"density": DENSITY_HERE, "gamma": True},
    occupations={"name": "marzari-vanderbilt", "width": SMEARING_HERE},
    spinpol=moments is not None,
    txt=str(here / "gpaw.txt"),
)
BFGS(FrechetCellFilter(atoms), trajectory=str(here / "gpaw.traj")).run(fmax=0.03, steps=200)
write(here / "relaxed.cif", atoms)
print(f"{atoms.get_potential_energy() / len(atoms):.6f} eV/atom")
'''

_FLOW = '''"""One flow of atomate2 for each candidate, as the Materials Project computes crystals.

Needs atomate2, its settings (VASP_CMD, a store) and your POTCARs: https://materialsproject.github.io/atomate2
"""

import sys
from pathlib import Path

from atomate2.vasp.flows.mp import MPGGADoubleRelaxStaticMaker
from jobflow import Flow
from pymatgen.core import Structure

NAMES = NAMES_HERE


def candidates() -> Flow:
    """Return all of them."""
    here = Path(__file__).parent
    maker = MPGGADoubleRelaxStaticMaker()
    flows = []
    for name in NAMES:
        flow = maker.make(Structure.from_file(here / name / STRUCTURE_HERE))
        flow.append_name(f" {name}")
        flows.append(flow)
    return Flow(flows, name="candidates")


if __name__ == "__main__":
    if "--submit" in sys.argv:  # to the workers of jobflow-remote
        from jobflow_remote import submit_flow

        print(submit_flow(candidates()))
    else:  # here, one after the other
        from jobflow import run_locally

        run_locally(candidates(), create_folders=True)
'''
