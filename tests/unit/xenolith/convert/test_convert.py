from pathlib import Path
from typing import Any

import numpy as np
import pytest

from xenolith import Crystal, CrystalBatch
from xenolith.client.oracle_calls import ScoreOptions
from xenolith.convert import (
    as_batch,
    as_crystal,
    as_items,
    from_ase,
    from_pymatgen,
    read_cif,
    read_extxyz,
    read_path,
    read_paths,
    read_poscar,
    to_ase,
    to_poscar,
    to_pymatgen,
    write_cif,
    write_extxyz,
)
from xenolith.errors import CrystalError, DisorderedError, InvalidArgumentError, NotFoundError, ReadError

core = pytest.importorskip("pymatgen.core")
ase = pytest.importorskip("ase")

CELL = np.array([[4.1, 0.2, 0.0], [-0.3, 3.9, 0.1], [0.5, 0.4, 5.2]])


def perovskite() -> Crystal:
    frac = [[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0.01], [0.5, 0, 0.5], [-0.25, 1.5, 0.5]]
    return Crystal(lattice=CELL, numbers=[38, 22, 8, 8, 8], frac_coords=frac)


def same(a: Crystal, b: Crystal, tolerance: float = 1e-6) -> None:
    assert a.numbers.tolist() == b.numbers.tolist()
    np.testing.assert_allclose(a.lattice @ a.lattice.T, b.lattice @ b.lattice.T, atol=tolerance * 10)
    shift = a.frac_coords - b.frac_coords
    np.testing.assert_allclose(shift - np.round(shift), 0, atol=tolerance)


def test_pymatgen_keeps_cell_atoms_and_order() -> None:
    back = from_pymatgen(to_pymatgen(perovskite()))
    assert back == perovskite()


def test_ase_keeps_cell_atoms_and_order() -> None:
    atoms = to_ase(perovskite(), {"energy": 1.0})
    assert atoms.pbc.all()
    assert atoms.info == {"energy": 1.0}
    np.testing.assert_allclose(atoms.positions[1], [0.5, 0.5, 0.5] @ CELL)
    same(from_ase(atoms), perovskite(), 1e-12)


def test_ase_without_a_cell_is_data() -> None:
    crystal = from_ase(ase.Atoms("H", positions=[[0, 0, 0]], pbc=True))
    assert np.isnan(crystal.frac_coords).all()
    assert crystal.volume == 0


def test_disorder_is_refused() -> None:
    mixed = core.Structure(np.eye(3) * 4, [{"Na": 0.5, "K": 0.5}], [[0, 0, 0]])
    with pytest.raises(DisorderedError, match="partially occupied"):
        from_pymatgen(mixed)


def test_oxidation_states_are_left_behind() -> None:
    structure = to_pymatgen(perovskite())
    structure.add_oxidation_state_by_guess()
    assert from_pymatgen(structure) == perovskite()


@pytest.mark.parametrize("symprec", [None, 0.01])
def test_cif_round_trip(tmp_path: Path, symprec: float | None) -> None:
    write_cif(perovskite(), tmp_path / "a.cif", symprec)
    (back,) = read_cif(tmp_path / "a.cif")
    assert back.formula == "SrTiO3"
    if symprec is None:
        same(back, perovskite())


def test_poscar_round_trip(tmp_path: Path) -> None:
    (tmp_path / "POSCAR").write_text(to_poscar(perovskite()))
    same(read_poscar(tmp_path / "POSCAR"), perovskite())


def test_extxyz_round_trip_with_numbers_and_appending(tmp_path: Path) -> None:
    path = tmp_path / "a.extxyz"
    write_extxyz(path, [perovskite()], [{"e_above_hull": 0.1, "status": "OK", "novel": None}])
    write_extxyz(path, [perovskite()], append=True)
    first, second = read_extxyz(path)
    same(first, perovskite())
    same(second, perovskite())
    assert "e_above_hull=0.1 status=OK" in path.read_text()
    assert "novel" not in path.read_text()
    with pytest.raises(InvalidArgumentError, match="info has 0 entries for 1 crystals"):
        write_extxyz(path, [perovskite()], [])


def test_reading_a_folder_never_stops_at_a_bad_file(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    (folder / "deep").mkdir(parents=True)
    write_cif(perovskite(), folder / "deep" / "good.cif")
    write_extxyz(folder / "many.extxyz", [perovskite(), perovskite()])
    (folder / "POSCAR_1").write_text(to_poscar(perovskite()))
    (folder / "broken.cif").write_text("data_x\nnothing here")
    (folder / "binary.cif").write_bytes(bytes(range(256)))
    (folder / "empty.vasp").write_text("")
    (folder / "molecule.xyz").write_text("1\n\nH 0 0 0\n")
    (folder / "notes.txt").write_text("left alone")
    items = {str(Path(item.source).relative_to(folder)): item for item in read_path(folder)}
    good = {"deep/good.cif", "many.extxyz#0", "many.extxyz#1", "POSCAR_1"}
    bad = {"broken.cif", "binary.cif", "empty.vasp", "molecule.xyz"}
    assert set(items) == good | bad
    for name in good:
        same(items[name].crystal or pytest.fail(name), perovskite())
    for name in bad:
        assert isinstance(items[name].problem, ReadError)
        assert name in str(items[name].problem)
        assert "\n" not in str(items[name].problem)


def test_disordered_files_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "d.cif"
    core.Structure(np.eye(3) * 4, [{"Na": 0.5, "K": 0.5}], [[0, 0, 0]]).to(str(path))
    (item,) = read_path(path)
    assert isinstance(item.problem, DisorderedError)
    assert "d.cif" in str(item.problem)


@pytest.mark.parametrize(
    ("name", "problem"),
    [("what.ever", "of no known kind"), ("none", "holds no CIF")],
)
def test_paths_that_hold_nothing(tmp_path: Path, name: str, problem: str) -> None:
    (tmp_path / "what.ever").write_text("x")
    (tmp_path / "none").mkdir()
    (item,) = read_paths([tmp_path / name])
    assert item.crystal is None
    assert problem in str(item.problem)


def test_what_is_no_element_costs_its_neighbours_nothing() -> None:
    dummy = to_pymatgen(perovskite())
    dummy.replace(0, core.DummySpecies("X"))
    first, second, third = as_items([perovskite(), dummy, perovskite()])
    assert first.crystal == third.crystal == perovskite()
    assert isinstance(second.problem, ReadError)
    assert "site 0 holds X0+, which is no element" in str(second.problem)


def test_isotopes_of_hydrogen_are_told_of() -> None:
    structure = core.Structure(np.eye(3) * 4, ["Li", "D"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    (item,) = as_items(structure)
    assert item.crystal is not None
    assert item.crystal.formula == "LiH"
    assert item.notes == ("deuterium (D) is taken as hydrogen",)


@pytest.mark.parametrize("pbc", [(False, False, False), (True, True, False)])
def test_atoms_that_are_not_periodic_are_refused_unless_asked_for(pbc: tuple[bool, ...]) -> None:
    atoms = ase.Atoms("OH2", positions=np.eye(3), cell=[9, 9, 9], pbc=pbc)
    (item,) = as_items([atoms])
    assert "is not periodic" in str(item.problem)
    assert from_ase(atoms, periodic=True).formula == "H2O"
    layer = core.Structure(core.Lattice(np.eye(3) * 9, pbc=pbc), ["C"], [[0, 0, 0]])
    (item,) = as_items([layer])
    assert "is not periodic" in str(item.problem)
    assert from_pymatgen(layer, periodic=True).formula == "C"


def test_what_is_not_periodic_is_taken_on_request_in_whatever_form_it_comes(tmp_path: Path) -> None:
    atoms = to_ase(perovskite())
    atoms.pbc = (True, True, False)
    structure = core.Structure(
        core.Lattice(perovskite().lattice, pbc=(True, True, False)),
        perovskite().numbers.tolist(),
        perovskite().frac_coords,
    )
    (tmp_path / "a.json").write_text(structure.to_json())
    for thing in (atoms, structure, tmp_path / "a.json"):
        (refused,), (taken,) = as_items(thing), as_items(thing, periodic=True)
        assert "is not periodic (pbc T T F)" in str(refused.problem)
        same(taken.crystal or pytest.fail(str(taken.problem)), perovskite())
        assert taken.notes == ("pbc T T F is taken as periodic in all directions, as asked for",)
        assert len(as_batch(thing, periodic=True)) == 1


def test_a_molecule_in_json_is_refused_as_one(tmp_path: Path) -> None:
    (tmp_path / "water.json").write_text(core.Molecule(["H", "H"], [[0, 0, 0], [0, 0, 0.74]]).to_json())
    (item,) = read_path(tmp_path / "water.json")
    assert "is a molecule" in str(item.problem)


def test_known_crystals_that_cannot_be_read_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "torn.cif").write_text("data_torn\n_cell_length_a ?\n")
    items = as_items(perovskite())
    with pytest.raises(ReadError, match=r"torn\.cif"):
        ScoreOptions(crystals=items, known=[perovskite(), tmp_path / "torn.cif"]).request(items)
    with pytest.raises(NotFoundError, match="nonexistent"):
        ScoreOptions(crystals=items, known="/nonexistent.cif").request(items)
    request = ScoreOptions(crystals=items, known=[perovskite()]).request(items)
    assert len(request.known.num_atoms) == 1


def test_a_path_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"there is no file or folder .*missing\.cif"):
        read_paths([tmp_path / "missing.cif"])
    with pytest.raises(NotFoundError, match="my_cifs"):
        as_items([perovskite(), str(tmp_path / "my_cifs")])


def mapping(**change: Any) -> dict[str, Any]:
    return {"lattice": CELL, "numbers": [1], "frac_coords": [[0, 0, 0]], **change}


def test_anything_becomes_items(tmp_path: Path) -> None:
    write_cif(perovskite(), tmp_path / "a.cif")
    things = [
        perovskite(),
        to_pymatgen(perovskite()),
        to_ase(perovskite()),
        tmp_path / "a.cif",
        mapping(),
        mapping(numbers=[1, 2]),
        {"lattice": CELL},
    ]
    items = as_items(things)
    assert [item.crystal.num_atoms if item.crystal else None for item in items] == [5, 5, 5, 5, 1, None, None]
    assert [item.source for item in items] == ["0", "1", "2", str(tmp_path / "a.cif"), "4", "5", "6"]
    assert isinstance(items[5].problem, CrystalError)
    assert as_items(items) == items


@pytest.mark.parametrize(
    "convert", [lambda c: c, to_pymatgen, to_ase, lambda c: [c], lambda c: CrystalBatch.from_crystals([c])]
)
def test_a_single_structure_is_one_item(convert: Any) -> None:
    (item,) = as_items(convert(perovskite()))
    assert item.crystal is not None
    same(item.crystal, perovskite(), 1e-9)


def test_as_batch_stops_at_the_first_problem() -> None:
    assert len(as_batch([perovskite(), to_ase(perovskite())])) == 2
    with pytest.raises(CrystalError):
        as_batch([perovskite(), mapping(numbers=[1, 2])])
    with pytest.raises(InvalidArgumentError, match="int is not a crystal"):
        as_crystal(5)  # type: ignore[arg-type]
