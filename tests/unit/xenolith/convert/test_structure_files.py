"""Files as people have them, each with what is right: see `tests/structure_files/expected.toml`."""

import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from xenolith import Crystal
from xenolith.convert import Item, read_path
from xenolith.errors import DisorderedError

core = pytest.importorskip("pymatgen.core")
pytest.importorskip("ase")

FILES = Path(__file__).parents[3] / "structure_files"
EXPECTED: dict[str, dict[str, Any]] = tomllib.loads((FILES / "expected.toml").read_text("utf-8"))
FOLDERS = sorted({name.split("/")[0] for name in EXPECTED})


def shortest_distance(crystal: Crystal) -> float:
    structure = core.Structure(crystal.lattice, crystal.numbers.tolist(), crystal.frac_coords)
    return float(min(structure.get_neighbor_list(8.0)[3]))


def check(item: Item, expected: dict[str, Any]) -> None:
    if "status" in expected:
        assert item.crystal is None, item.crystal
        assert item.problem is not None and expected["because"] in str(item.problem)
        assert isinstance(item.problem, DisorderedError) == (expected["status"] == "DISORDERED")
        return
    assert item.crystal is not None, item.problem
    assert (item.crystal.formula, item.crystal.num_atoms) == (expected["formula"], expected["atoms"])
    assert list(item.notes) == expected.get("notes", [])
    if "nearest" in expected:
        assert shortest_distance(item.crystal) == pytest.approx(expected["nearest"], abs=2e-3)


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_structure_of_a_file_is_what_it_says(folder: str) -> None:
    items = read_path(FILES / folder)
    found = {item.source.removeprefix(f"{FILES}/"): item for item in items}
    assert list(found) == [name for name in EXPECTED if name.startswith(f"{folder}/")]
    for name, item in found.items():
        check(item, EXPECTED[name])


def test_the_crystals_of_the_readme_are_read() -> None:
    items = read_path(FILES.parents[1] / "examples" / "crystals")
    assert len(items) == 12 and not items.ignored
    assert all(item.crystal is not None and not item.notes for item in items)


def test_no_file_of_the_folder_goes_without_a_word() -> None:
    items = read_path(FILES)
    told = {item.source.split("#")[0] for item in items} | set(items.ignored)
    assert told == {str(file) for file in FILES.rglob("*") if file.is_file()}
    assert items.ignored == (str(FILES / "expected.toml"),)
    assert "1 files are of no known kind" in items.warning


def test_a_cif_of_loose_symmetry_reads_back_as_the_crystal_that_was_written() -> None:
    matcher = pytest.importorskip("pymatgen.analysis.structure_matcher").StructureMatcher(
        ltol=0.05, stol=0.15, angle_tol=2
    )
    for number in (19, 25):
        (read,), (written,) = (
            read_path(FILES / "cif-writer-symprec" / name)
            for name in (f"{number}-symprec0.1.cif", f"{number}.extxyz")
        )
        pair = [
            core.Structure(item.crystal.lattice, item.crystal.numbers.tolist(), item.crystal.frac_coords)
            for item in (read, written)
            if item.crystal is not None
        ]
        assert matcher.fit(*pair)


def test_atoms_that_are_not_periodic_are_taken_on_request_and_told_of() -> None:
    (item,) = read_path(FILES / "extxyz-molecule-pbc-false", periodic=True)
    assert item.crystal is not None
    assert item.crystal.formula == "H2O"
    assert item.notes == ("pbc F F F is taken as periodic in all directions, as asked for",)


def test_coordinates_outside_of_the_cell_and_left_handed_cells_are_the_same_crystal() -> None:
    (plain,) = read_path(FILES / "cif-plain")
    (handed,) = read_path(FILES / "poscar-left-handed")
    assert plain.crystal is not None and handed.crystal is not None
    assert np.isclose(plain.crystal.volume, handed.crystal.volume)
