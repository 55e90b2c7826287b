"""Damaged files: never a crash, never a neighbour lost, never a crystal against what the file still says."""

import random
import re
from pathlib import Path

import numpy as np
import pytest

from xenolith import Crystal
from xenolith.convert import read_path, to_poscar, write_extxyz

core = pytest.importorskip("pymatgen.core")
ase = pytest.importorskip("ase")

FILES = Path(__file__).parents[3] / "structure_files"
BLOCK = """data_{name}
_chemical_formula_sum '{formula}'
_cell_formula_units_Z 4
_cell_volume {volume:.4f}
_cell_length_a {a}
_cell_length_b {a}
_cell_length_c {a}
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_symmetry_space_group_name_H-M 'F m -3 m'
_symmetry_Int_Tables_number 225
_publ_section_comment
;
Read from the table of a book.
;
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_symmetry_multiplicity
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
{x}1 {x} 4 0 0 0 1
{y}1 {y} 4 0.5 0.5 0.5 1
"""
SALTS = (("Mg", "O", 4.21), ("Na", "Cl", 5.64), ("Li", "F", 4.03), ("K", "Br", 6.6))


def blocks() -> list[str]:
    return [BLOCK.format(name=f"{x}{y}", formula=f"{x} {y}", volume=a**3, a=a, x=x, y=y) for x, y, a in SALTS]


def damaged(data: bytes, chance: random.Random, low: int, high: int) -> bytes:
    """Flip a bit of one to three bytes between two places."""
    torn = bytearray(data)
    for _ in range(chance.randint(1, 3)):
        torn[chance.randrange(low, high)] ^= 1 << chance.randrange(8)
    return bytes(torn)


def salts(path: Path) -> list[Crystal]:
    return [item.crystal for item in read_path(path) if item.crystal is not None]


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    (tmp_path / "whole.cif").write_text("".join(blocks()))
    write_extxyz(tmp_path / "whole.extxyz", salts(tmp_path / "whole.cif"))
    return tmp_path / "whole.extxyz"


@pytest.mark.parametrize("seed", range(4))
def test_a_damaged_file_of_any_kind_is_read_or_refused(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311  # damage, no secret
    files = sorted(file for file in FILES.rglob("*") if file.is_file() and file.name != "expected.toml")
    for _ in range(250):
        file = chance.choice(files)
        data = file.read_bytes()
        cut = data[: chance.randrange(len(data))] if chance.random() < 0.5 else data
        torn = (
            damaged(cut, chance, 0, len(cut))
            if cut and (len(cut) == len(data) or chance.random() < 0.5)
            else cut
        )
        target = tmp_path / file.name
        target.write_bytes(torn)
        items = read_path(target)
        assert items
        for item in items:
            assert (item.crystal is None) != (item.problem is None)
            assert item.crystal is None or (item.crystal.formula and np.isfinite(item.crystal.lattice).all())
        target.unlink()


@pytest.mark.parametrize("seed", range(4))
def test_a_damaged_block_costs_its_neighbours_nothing(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311
    (tmp_path / "whole.cif").write_text("".join(blocks()))
    whole = salts(tmp_path / "whole.cif")
    assert [crystal.formula for crystal in whole] == ["MgO", "NaCl", "LiF", "KBr"]
    parts = [block.encode() for block in blocks()]
    for _ in range(100):
        hit = chance.randrange(len(parts))
        torn = list(parts)
        # The first letters, the heading, tell where the block begins: damage there is another test.
        torn[hit] = damaged(parts[hit], chance, len(b"data_"), len(parts[hit]) - 1)
        (tmp_path / "torn.cif").write_bytes(b"".join(torn))
        items = read_path(tmp_path / "torn.cif")
        read = [item.crystal for item in items if item.crystal is not None]
        for place, crystal in enumerate(whole):
            if place != hit:
                assert any(crystal == other for other in read), (torn[hit], [str(i.problem) for i in items])


@pytest.mark.parametrize("seed", range(4))
def test_a_damaged_block_gives_no_crystal_that_it_contradicts(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311
    for _ in range(250):
        block = chance.choice(blocks()).encode()
        torn = damaged(block, chance, 0, len(block))
        if chance.random() < 0.3:
            torn = torn[: chance.randrange(len(torn))]
        (tmp_path / "torn.cif").write_bytes(torn)
        for item in read_path(tmp_path / "torn.cif"):
            if item.crystal is None or item.notes:
                continue
            text = torn.decode("latin-1")
            stated = re.search(r"^_chemical_formula_sum '((?:[A-Z][a-z]? ?)+)'$", text, re.MULTILINE)
            if stated:
                assert core.Composition(stated[1]).reduced_formula == item.crystal.formula, text
            units = re.search(r"^_cell_formula_units_Z (\d+)$", text, re.MULTILINE)
            if units and stated:
                assert item.crystal.num_atoms == 2 * int(units[1]), text
            volume = re.search(r"^_cell_volume ([\d.]+)$", text, re.MULTILINE)
            if volume:
                assert item.crystal.volume == pytest.approx(float(volume[1]), rel=0.05), text
            symbol = re.search(r"^_symmetry_space_group_name_H-M '(.*)'$", text, re.MULTILINE)
            if symbol and symbol[1] == "F m -3 m":
                assert item.crystal.num_atoms % 4 == 0, text


@pytest.mark.parametrize("seed", range(2))
def test_a_damaged_heading_is_told_of_and_costs_no_other_block(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311
    parts = [block.encode() for block in blocks()]
    (tmp_path / "whole.cif").write_bytes(b"".join(parts))
    whole = salts(tmp_path / "whole.cif")
    for _ in range(50):
        torn = list(parts)
        torn[2] = damaged(parts[2], chance, 0, len(b"data_"))
        (tmp_path / "torn.cif").write_bytes(b"".join(torn))
        items = read_path(tmp_path / "torn.cif")
        read = [item.crystal for item in items if item.crystal is not None]
        assert len(items) >= 4
        assert all(any(crystal == other for other in read) for crystal in (whole[0], whole[3]))


@pytest.mark.parametrize("seed", range(2))
def test_a_damaged_frame_costs_its_neighbours_nothing(frames: Path, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311
    whole = salts(frames)
    lines = frames.read_bytes().split(b"\n")
    parts = [b"\n".join(lines[start : start + 10]) + b"\n" for start in range(0, 40, 10)]
    for _ in range(250):
        hit = chance.randrange(4)
        torn = list(parts)
        torn[hit] = damaged(parts[hit], chance, 0, len(parts[hit]) - 1)
        frames.write_bytes(b"".join(torn))
        read = salts(frames)
        for place, crystal in enumerate(whole):
            if place != hit:
                assert any(crystal == other for other in read), torn[hit]


def test_a_poscar_that_is_cut_short_is_refused(tmp_path: Path) -> None:
    (tmp_path / "whole.cif").write_text(blocks()[0])
    text = to_poscar(salts(tmp_path / "whole.cif")[0])
    lines = text.splitlines()
    for count in range(len(lines) - 1):
        (tmp_path / "POSCAR").write_text("\n".join(lines[:count]))
        (item,) = read_path(tmp_path / "POSCAR")
        assert item.problem is not None


@pytest.mark.parametrize("seed", range(2))
def test_a_damaged_poscar_gives_no_crystal_against_its_elements_and_counts(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311
    (tmp_path / "whole.cif").write_text(blocks()[0])
    whole = to_poscar(salts(tmp_path / "whole.cif")[0]).encode()
    stated = whole.split(b"\n")[5:7]
    for _ in range(250):
        torn = damaged(whole, chance, 0, len(whole))
        (tmp_path / "POSCAR").write_bytes(torn)
        (item,) = read_path(tmp_path / "POSCAR")
        if item.crystal is not None and not item.notes and torn.split(b"\n")[5:7] == stated:
            assert (item.crystal.formula, item.crystal.num_atoms) == ("MgO", 8), torn


@pytest.mark.parametrize("seed", range(2))
def test_a_damaged_frame_gives_no_crystal_against_its_count(frames: Path, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311
    whole = frames.read_bytes()
    for _ in range(250):
        torn = damaged(whole, chance, 0, len(whole))
        frames.write_bytes(torn)
        items = read_path(frames)
        # Four frames, each read or refused; a count that is damaged may cut one in two.
        assert len(items) >= 4 or any(item.problem for item in items), torn
        for item in items:
            assert item.crystal is None or item.notes or item.crystal.num_atoms == 8, torn
