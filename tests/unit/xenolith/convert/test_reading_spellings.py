"""One crystal in many spellings, and every space group: what is read is what was written."""

import gzip
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from xenolith import Crystal
from xenolith.convert import read_path, to_ase, to_cif, to_poscar, to_pymatgen, write_extxyz

core = pytest.importorskip("pymatgen.core")
ase_io = pytest.importorskip("ase.io")
gemmi = pytest.importorskip("gemmi")

HAND = """data_{name}
_cell_length_a 4.594(3)
_cell_length_b 4.594(3)
_cell_length_c 2.959(2)
_cell_angle_alpha 90
_cell_angle_beta 90.0
_cell_angle_gamma 90.(0)
{symmetry}
loop_
_atom_site_label
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
Ti1 0 0 0
O1 0.3053(4) .3053 0
"""
OPERATIONS = "loop_\n_symmetry_equiv_pos_as_xyz\n" + "\n".join(
    operation.triplet() for operation in gemmi.find_spacegroup_by_name("P 42/m n m").operations()
)


def rutile() -> Crystal:
    u = 0.3053
    ti = [[0, 0, 0], [0.5, 0.5, 0.5]]
    o = [[u, u, 0], [1 - u, 1 - u, 0], [0.5 + u, 0.5 - u, 0.5], [0.5 - u, 0.5 + u, 0.5]]
    return Crystal(lattice=np.diag([4.594, 4.594, 2.959]), numbers=[22, 22, 8, 8, 8, 8], frac_coords=ti + o)


def by_hand(symmetry: str) -> Callable[[Path], None]:
    return lambda path: path.write_text(HAND.format(name="TiO2", symmetry=symmetry))


def packed(text: str) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(gzip.compress(text.encode()))


def through_ase(**how: Any) -> Callable[[Path], None]:
    return lambda path: ase_io.write(str(path), to_ase(rutile()), **how)


def encoded(encoding: str, newline: str = "\n") -> Callable[[Path], None]:
    text = HAND.format(name="Rutil_Müller", symmetry="_space_group_IT_number 136")
    return lambda path: path.write_bytes(text.replace("\n", newline).encode(encoding))


def as_json(wrap: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    return lambda path: path.write_text(json.dumps(wrap(to_pymatgen(rutile()).as_dict())))


SPELLINGS: dict[str, tuple[str, Callable[[Path], None]]] = {
    "pymatgen, all atoms": ("a.cif", lambda path: path.write_text(to_cif(rutile()))),
    "pymatgen, symmetry": ("a.cif", lambda path: path.write_text(to_cif(rutile(), symprec=0.01))),
    "pymatgen, POSCAR": ("mp-2657_POSCAR", lambda path: path.write_text(to_poscar(rutile()))),
    "pymatgen, packed POSCAR": ("CONTCAR.gz", packed(to_poscar(rutile()))),
    "pymatgen, JSON": ("a.json", as_json(lambda d: d)),
    "pymatgen, list of JSON": ("a.json", as_json(lambda d: [{"material_id": "mp-2657", "structure": d}])),
    "pymatgen, mapping of JSON": ("what.ever", as_json(lambda d: {"mp-2657": d})),
    "ASE, CIF": ("a.cif", through_ase(format="cif")),
    "ASE, VASP": ("a.vasp", through_ase(format="vasp", direct=True)),
    "ASE, Cartesian VASP 5": ("POSCAR", through_ase(format="vasp", direct=False)),
    "ASE, extxyz": ("a.extxyz", through_ase(format="extxyz")),
    "ASE, trajectory": ("a.traj", through_ase(format="traj")),
    "ASE, data base": ("a.db", through_ase(format="db")),
    "extxyz without ending": ("frames", lambda path: write_extxyz(path, [rutile()])),
    "short symbol": ("a.cif", by_hand("_symmetry_space_group_name_H-M P42/mnm")),
    "symbol with spaces": ("a.cif.txt", by_hand("_space_group_name_H-M_alt 'P 42/m n m'")),
    "symbol with bracketed screw": ("a.cif", by_hand("_space_group_name_H-M_full 'P 4(2)/m 21/n 2/m'")),
    "symbol in LaTeX": ("A.CIF", by_hand("_symmetry_space_group_name_H-M '$P4_{2}/mnm$'")),
    "Hall symbol": ("a.cif_", by_hand("_space_group_name_Hall '-P 4n 2n'")),
    "Schoenflies symbol": ("a.cif", by_hand("_space_group_name_Schoenflies D4h^14")),
    "number": ("a.cif", by_hand("_symmetry_Int_Tables_number 136")),
    "operations": ("a.cif", by_hand(OPERATIONS)),
    "operations in capitals": ("a.cif", by_hand(OPERATIONS.replace("x,", "X,").replace("1/2", "0.5"))),
    "dots in tags": ("a.cif", by_hand("_space_group.IT_number 136")),
    "Windows": ("a.cif", encoded("utf-8-sig", "\r\n")),
    "UTF-16": ("a.cif", encoded("utf-16")),
    "UTF-16 without mark": ("a.cif", encoded("utf-16-le")),
    "Latin-1": ("a.cif", encoded("latin-1")),
}


def same(a: Crystal, b: Crystal) -> bool:
    matcher: Any = pytest.importorskip("pymatgen.analysis.structure_matcher")
    fit = matcher.StructureMatcher(ltol=1e-3, stol=1e-3, angle_tol=0.05, primitive_cell=False, scale=False)
    return bool(fit.fit(to_pymatgen(a), to_pymatgen(b)))


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_crystal_reads_back_from_every_spelling(tmp_path: Path, spelling: str) -> None:
    name, write = SPELLINGS[spelling]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        write(tmp_path / name)
    (item,) = read_path(tmp_path)
    assert item.crystal is not None, item.problem
    assert same(item.crystal, rutile())
    assert all("Latin-1" in note for note in item.notes)


def cell_of(group: Any) -> tuple[float, ...]:
    """A cell that the group allows, with the axes of its own setting."""
    system, axes = group.crystal_system_str(), (17.0, 19.0, 23.0)
    if system == "triclinic":
        return (*axes, 83, 97, 104)
    if system == "monoclinic":
        angles = [90.0, 90.0, 90.0]
        angles["abc".index(group.monoclinic_unique_axis())] = 103.0
        return (*axes, *angles)
    if system == "orthorhombic":
        return (*axes, 90, 90, 90)
    if system == "tetragonal":
        return (17, 17, 23, 90, 90, 90)
    if system == "cubic":
        return (23, 23, 23, 90, 90, 90)
    return (17, 17, 17, 73, 73, 73) if group.ext == "R" else (17, 17, 23, 90, 90, 120)


def cif_of(group: Any, symmetry: str) -> str:
    names = ("length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma")
    cell = "\n".join(f"_cell_{name} {value}" for name, value in zip(names, cell_of(group), strict=True))
    atoms = "loop_\n_atom_site_type_symbol\n_atom_site_fract_x\n_atom_site_fract_y\n_atom_site_fract_z\n"
    return f"data_x\n{cell}\n{symmetry}\n{atoms}Na 0.0711 0.1327 0.2213\nCl 0.3119 0.0537 0.1571\n"


def orbit(group: Any) -> set[tuple[float, ...]]:
    """Places of all atoms, to 1e-4, from gemmi's operations."""
    places = set()
    for kind, place in ((11, [0.0711, 0.1327, 0.2213]), (17, [0.3119, 0.0537, 0.1571])):
        for operation in group.operations():
            image = np.array(operation.apply_to_xyz(place)) % 1.0
            places.add((kind, *(np.round(image, 4) % 1.0).tolist()))
    return places


def places_of(crystal: Crystal) -> set[tuple[float, ...]]:
    return {
        (int(z), *(np.round(place % 1.0, 4) % 1.0).tolist())
        for z, place in zip(crystal.numbers, crystal.frac_coords, strict=True)
    }


def settings() -> list[Any]:
    return [group for group in gemmi.spacegroup_table() if group.is_reference_setting()]


@pytest.mark.parametrize(
    "write",
    [
        lambda g: f"_space_group_name_H-M_alt '{g.xhm()}'",
        lambda g: f"_symmetry_space_group_name_H-M '{g.xhm().replace(' ', '_')}'",
        lambda g: f"_space_group_name_Hall\n;{g.hall}\n;",
        lambda g: "\n".join(
            ["loop_\n_space_group_symop_operation_xyz", *(o.triplet() for o in g.operations())]
        ),
    ],
    ids=["symbol", "symbol with underscores", "Hall symbol", "operations"],
)
def test_every_space_group_gives_its_cell(tmp_path: Path, write: Callable[[Any], str]) -> None:
    groups = settings()
    assert {group.number for group in groups} == set(range(1, 231))
    text = "\n".join(
        cif_of(group, write(group)).replace("data_x", f"data_{group.number}") for group in groups
    )
    (tmp_path / "all.cif").write_text(text)
    items = read_path(tmp_path / "all.cif")
    assert len(items) == len(groups)
    for group, item in zip(groups, items, strict=True):
        assert item.crystal is not None, (group.xhm(), item.problem)
        assert not item.notes
        assert places_of(item.crystal) == orbit(group), group.xhm()


def test_every_setting_of_the_tables_is_known_by_its_symbol(tmp_path: Path) -> None:
    groups = list(gemmi.spacegroup_table_itb())
    blocks = [cif_of(group, f"_space_group_name_H-M_alt '{group.xhm()}'") for group in groups]
    (tmp_path / "all.cif").write_text("\n".join(blocks))
    for group, item in zip(groups, read_path(tmp_path / "all.cif"), strict=True):
        assert item.crystal is not None, (group.xhm(), item.problem)
        assert places_of(item.crystal) == orbit(group), group.xhm()


def test_a_symbol_or_number_that_leaves_the_origin_open_is_never_read_without_a_word(tmp_path: Path) -> None:
    for group in settings():
        both = [g for g in gemmi.spacegroup_table() if g.number == group.number and g.hm == group.hm]
        for symmetry in (f"_space_group_name_H-M_alt '{group.hm}'", f"_space_group_IT_number {group.number}"):
            (tmp_path / "a.cif").write_text(cif_of(group, symmetry))
            (item,) = read_path(tmp_path / "a.cif")
            if len(both) == 1 or both[0].ext in "HR":
                assert item.crystal is not None, (group.xhm(), item.problem)
                assert places_of(item.crystal) == orbit(group), group.xhm()
            elif item.crystal is None:
                assert "leaves the origin open" in str(item.problem)
            else:
                assert "which the atoms support" in str(item.notes)
                assert any(places_of(item.crystal) == orbit(g) for g in both)
