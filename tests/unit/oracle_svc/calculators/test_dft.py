"""DFT settings and the input files that follow from them; the codes themselves are not run here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ase import Atoms
from ase.build import bulk
from ase.io.espresso import write_espresso_in
from pymatgen.io.vasp import Incar, Kpoints, Poscar
from pymatgen.io.vasp.sets import MPStaticSet

from oracle_svc.calculators import open_calculator, takes_long
from oracle_svc.calculators.dft.base import kpoint_grid
from oracle_svc.calculators.dft.espresso import EspressoCalculator
from oracle_svc.calculators.dft.vasp import VaspCalculator

SALT = bulk("NaCl", "rocksalt", 5.64)
OXIDE = bulk("FeO", "rocksalt", 4.3)


@pytest.fixture
def potcars(tmp_path: Path) -> Path:
    """Files named as POTCARs; their content is no potential."""
    for name in ("Na", "Na_pv", "Cl", "Fe_pv", "O"):
        folder = tmp_path / "vasp" / "potpaw_PBE" / name
        folder.mkdir(parents=True)
        (folder / "POTCAR").write_text(f"  PAW_PBE {name}\n   7.0\n parameters from PSCTR are:\n")
    return tmp_path / "vasp"


@pytest.fixture
def upf(tmp_path: Path) -> Path:
    folder = tmp_path / "upf"
    folder.mkdir()
    for name in ("Na.pbe-spn-rrkjus.UPF", "cl_pbe_v1.4.uspp.F.UPF"):
        (folder / name).write_text("no potential")
    return folder


@pytest.fixture
def pw(tmp_path: Path) -> str:
    """A program that tells a version, as pw.x does without input."""
    program = tmp_path / "pw.x"
    program.write_text("#!/bin/sh\necho '     Program PWSCF v.7.3.1 starts'\n")
    program.chmod(0o755)
    return str(program)


def vasp(potcars: Path, **more: Any) -> VaspCalculator:
    return VaspCalculator(potcars=str(potcars), code_version="6.4.3", **more)


def written(calculator: VaspCalculator, atoms: Atoms, folder: Path) -> tuple[Incar, Kpoints, Poscar]:
    """Input files as ASE writes them before it starts the program."""
    atoms = atoms.copy()
    made: Any = calculator.attach(atoms)
    folder.mkdir()
    made.directory = str(folder)
    made.write_input(atoms)
    assert "PAW_PBE" in (folder / "POTCAR").read_text()
    return (
        Incar.from_file(folder / "INCAR"),
        Kpoints.from_file(folder / "KPOINTS"),
        Poscar.from_file(folder / "POSCAR", check_for_potcar=False),
    )


@pytest.mark.parametrize("atoms", [SALT, OXIDE], ids=["NaCl", "FeO"])
def test_vasp_gets_the_materials_projects_input(potcars: Path, tmp_path: Path, atoms: Atoms) -> None:
    from pymatgen.io.ase import AseAtomsAdaptor

    incar, kpoints, poscar = written(vasp(potcars), atoms, tmp_path / "run")
    expected = MPStaticSet(AseAtomsAdaptor.get_structure(atoms), sort_structure=False)
    assert set(expected.incar) <= set(incar)
    for tag, value in expected.incar.items():
        if tag not in {"MAGMOM", "LDAUU", "LDAUJ", "LDAUL"}:
            assert incar[tag] == value or str(incar[tag]).lower() == str(value).lower(), tag
    species = poscar.site_symbols
    for tag in {"LDAUU", "LDAUJ", "LDAUL"} & set(expected.incar):
        own = dict(zip([str(e) for e in expected.poscar.site_symbols], expected.incar[tag], strict=True))
        assert dict(zip(species, incar[tag], strict=True)) == own
    moments = dict(zip(atoms.get_chemical_symbols(), expected.incar["MAGMOM"], strict=True))
    assert dict(zip([s.specie.symbol for s in poscar.structure], incar["MAGMOM"], strict=True)) == moments
    assert kpoints.kpts == expected.kpoints.kpts
    titles = (tmp_path / "run" / "POTCAR").read_text()
    assert all(symbol in titles for symbol in expected.potcar_symbols)


def test_vasp_settings_change_tags_and_digest(potcars: Path, tmp_path: Path) -> None:
    own = vasp(potcars, incar={"ENCUT": 600, "NELM": 200})
    incar, _, _ = written(own, SALT, tmp_path / "run")
    assert (incar["ENCUT"], incar["NELM"]) == (600, 200)
    assert own.settings_digest != vasp(potcars).settings_digest
    assert vasp(potcars, command="srun vasp_std").settings_digest == vasp(potcars).settings_digest
    assert own.id.startswith("vasp-mpstaticset-pbe-")
    with pytest.raises(ValueError, match="no potential for U"):
        vasp(potcars, elements=["Na", "U"])
    with pytest.raises(ValueError, match="no potpaw_PBE folder"):
        vasp(tmp_path / "nowhere")


def test_espresso_gets_cutoffs_in_rydberg_and_the_users_files(upf: Path, pw: str, tmp_path: Path) -> None:
    own = EspressoCalculator(
        pseudopotentials=str(upf), command=pw, cutoff_ev=500.0, density_cutoff_factor=10.0, kpoint_density=2.0
    )
    assert own.version == "7.3.1"
    assert own.elements == {11, 17}
    with (tmp_path / "espresso.pwi").open("w") as file:
        write_espresso_in(file, SALT, **own.inputs(SALT))
    text = (tmp_path / "espresso.pwi").read_text()
    values = dict(
        [part.strip() for part in line.split("=")] for line in text.splitlines() if line.count("=") == 1
    )
    assert float(values["ecutwfc"]) == pytest.approx(500 / 13.605693)
    assert float(values["ecutrho"]) == pytest.approx(5000 / 13.605693)
    assert values["occupations"] == "'smearing'"
    assert "Na.pbe-spn-rrkjus.UPF" in text and "cl_pbe_v1.4.uspp.F.UPF" in text
    assert " ".join(map(str, kpoint_grid(SALT, 2.0))) in text


def test_espresso_results_are_named_after_their_potentials(upf: Path, pw: str) -> None:
    first = EspressoCalculator(pseudopotentials=str(upf), command=pw, elements=["Na"])
    (upf / "Si.UPF").write_text("another element")
    same = EspressoCalculator(pseudopotentials=str(upf), command=pw, elements=["Na"])
    assert same.settings_digest == first.settings_digest
    (upf / "Na.pbe-spn-rrkjus.UPF").write_text("another potential")
    other = EspressoCalculator(pseudopotentials=str(upf), command=pw, elements=["Na"])
    assert other.settings_digest != first.settings_digest
    (upf / "na_second.UPF").write_text("and one more")
    with pytest.raises(ValueError, match="several pseudopotentials for Na"):
        EspressoCalculator(pseudopotentials=str(upf), command=pw)


def test_a_wrong_setting_is_named(upf: Path) -> None:
    with pytest.raises(ValueError, match="cutoff_ev: Input should be greater than 50"):
        open_calculator("espresso", pseudopotentials=str(upf), cutoff_ev=5)
    with pytest.raises(ValueError, match=r"cutof_ev: Extra inputs .*there are .*kpoint_density"):
        open_calculator("espresso", pseudopotentials=str(upf), cutof_ev=500)
    with pytest.raises(ValueError, match="not on PATH: install Quantum ESPRESSO"):
        open_calculator("espresso", pseudopotentials=str(upf), command="no-such-program")


def test_dft_takes_long_and_the_rest_does_not() -> None:
    assert all(takes_long(name, {}) for name in ("gpaw", "espresso", "vasp"))
    assert not any(takes_long(name, {}) for name in ("chgnet", "mace", "ase", "no-such-plug-in"))
    assert takes_long("ase", {"long_running": True})
