"""CIF with symmetry: what is read back is what was written, within the tolerance that was given."""

from pathlib import Path

import numpy as np
import pytest

from oracle_svc.crystals.amd import amd_of
from xenolith import Crystal
from xenolith.convert import read_path, to_cif, write_cif
from xenolith.convert.symmetric_cif import symmetric_cif

EXAMPLES = Path(__file__).parents[4] / "examples" / "crystals"
LOOSE = Path(__file__).parents[3] / "structure_files" / "cif-writer-symprec"


def disturbed(crystal: Crystal, by: float, seed: int) -> Crystal:
    """Move every atom by up to this, Angstrom."""
    chance = np.random.default_rng(seed)
    steps = chance.normal(size=(crystal.num_atoms, 3))
    steps *= by / np.linalg.norm(steps, axis=1, keepdims=True)
    frac = crystal.frac_coords + steps @ np.linalg.inv(crystal.lattice)
    return Crystal(lattice=crystal.lattice, numbers=crystal.numbers, frac_coords=frac)


def apart(a: Crystal, b: Crystal) -> float:
    """Distance of average minimum distances, Angstrom: at most twice what atoms have moved."""
    first, second = (amd_of(c.lattice, c.frac_coords, 50) for c in (a, b))
    return float(np.abs(first - second).max())


def back(crystal: Crystal, folder: Path, symprec: float) -> Crystal:
    write_cif(crystal, folder / "a.cif", symprec)
    (item,) = read_path(folder / "a.cif")
    assert item.crystal is not None, item.problem
    assert not item.notes
    return item.crystal


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.cif")), ids=lambda path: path.stem)
def test_a_symmetric_crystal_keeps_formula_atoms_and_distances(path: Path, tmp_path: Path) -> None:
    (item,) = read_path(path)
    assert item.crystal is not None
    read = back(item.crystal, tmp_path, 0.01)
    assert (read.formula, read.num_atoms) == (item.crystal.formula, item.crystal.num_atoms)
    assert apart(read, item.crystal) < 1e-6


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("name", ["TiO2-rutile", "SrTiO3-perovskite", "LiCoO2-layered", "Si-diamond"])
def test_atoms_move_by_no_more_than_the_tolerance(name: str, seed: int, tmp_path: Path) -> None:
    (item,) = read_path(EXAMPLES / f"{name}.cif")
    assert item.crystal is not None
    crystal = disturbed(item.crystal, 0.03 * seed, seed)
    read = back(crystal, tmp_path, 0.1)
    assert read.formula == crystal.formula
    assert read.volume / read.num_atoms == pytest.approx(crystal.volume / crystal.num_atoms, rel=0.05)
    assert apart(read, crystal) <= 0.2


@pytest.mark.parametrize("number", [19, 25])
def test_crystals_that_another_writer_changed_read_back_as_they_were(number: int, tmp_path: Path) -> None:
    (item,) = read_path(LOOSE / f"{number}.extxyz")
    assert item.crystal is not None
    read = back(item.crystal, tmp_path, 0.1)
    assert read.formula == item.crystal.formula
    assert apart(read, item.crystal) <= 0.2


def test_a_crystal_without_symmetry_is_listed_atom_by_atom() -> None:
    chance = np.random.default_rng(1)
    crystal = Crystal(
        lattice=np.diag([5.0, 6.0, 7.0]) + 0.3, numbers=[11, 17, 8], frac_coords=chance.random((3, 3))
    )
    assert symmetric_cif(crystal, 0.01) is None or "'x, y, z'" in to_cif(crystal, 0.01)
    broken = Crystal(lattice=np.zeros((3, 3)), numbers=[11], frac_coords=[[0, 0, 0]])
    assert symmetric_cif(broken, 0.01) is None
