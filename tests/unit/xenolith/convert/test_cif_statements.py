"""Data blocks that say one thing twice: what agrees is read, what contradicts itself is refused."""

import pytest

from xenolith.convert.reading import Found, Text
from xenolith.convert.reading.cif import read_cif_blocks
from xenolith.errors import DisorderedError

pytest.importorskip("gemmi")

CELL = "data_x\n" + "".join(
    [f"_cell_length_{axis} 5.64\n" for axis in "abc"]
    + [f"_cell_angle_{angle} 90\n" for angle in ("alpha", "beta", "gamma")]
)
HEAD = "loop_\n_atom_site_label\n_atom_site_type_symbol\n" + "".join(f"_atom_site_fract_{x}\n" for x in "xyz")
UNIT = f"{HEAD}Na1 Na1+ 0 0 0\nCl1 Cl1- .5 .5 .5\n"
LISTED = f"{HEAD}" + "".join(
    f"{symbol}{n} {symbol} {(x + o) % 1} {(y + o) % 1} {(z + o) % 1}\n"
    for symbol, o in (("Na", 0.0), ("Cl", 0.5))
    for n, (x, y, z) in enumerate([(0, 0, 0), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)])
)
CUBIC = "_symmetry_space_group_name_H-M 'F m -3 m'\n"
P1 = "_symmetry_space_group_name_H-M 'P 1'\n"
NUMBER = "_symmetry_Int_Tables_number"
IDENTITY = "loop_\n_symmetry_equiv_pos_as_xyz\nx,y,z\n"


def read(text: str) -> Found:
    (found,) = read_cif_blocks(Text(text=text))
    return found


@pytest.mark.parametrize(
    ("text", "note"),
    [
        (CUBIC + UNIT, ""),
        (CUBIC + IDENTITY + UNIT, "the operations of space group 'F m -3 m' are used"),
        (CUBIC + IDENTITY + LISTED, "the 1 operations that are listed are used"),
        (CUBIC + "_chemical_formula_sum 'Na4 Cl4'\n" + LISTED, "are at one place and taken as one atom"),
        (CUBIC + f"{NUMBER} 221\n_chemical_formula_sum 'Na Cl'\n_cell_z 4\n" + UNIT, "does not agree"),
        (CUBIC + "_symmetry_space_group_name_Hall 'garbage'\n" + UNIT, "Hall symbol 'garbage' is not known"),
        ("_symmetry_space_group_name_H-M ?\n_symmetry_Int_Tables_number 225\n" + UNIT, ""),
        (f"_symmetry_space_group_name_H-M 'P q r s'\n{NUMBER} 225\n" + UNIT, "is not known"),
        (IDENTITY + "'+x,+y,+z'\n'1/2+x,1/2+y,+z'\n'1/2+X,+Y,1/2+Z'\nx,.5+y,0.5+z\n" + UNIT, ""),
        (CUBIC + "_cell_volume 184\n" + UNIT, "_cell_volume says 184"),
        (CUBIC + "_chemical_formula_sum 'Na Cl, H2 O'\n" + UNIT, "is no plain sum"),
        (CUBIC + "_cell_formula_units_Z 0\n" + UNIT, "is no number of formula units"),
    ],
)  # fmt: skip
def test_what_can_be_understood_is_read_and_told(text: str, note: str) -> None:
    found = read(CELL + text)
    assert found.crystal is not None, found.problem
    assert (found.crystal.formula, found.crystal.num_atoms) == ("NaCl", 8)
    assert note in " ".join(found.notes)
    assert bool(note) == bool(found.notes)


CIF2 = "#\\#CIF_2.0\n"


@pytest.mark.parametrize(
    "beside",
    [
        "",
        "_publ_comment '''of two\nlines'''\n",
        '_publ_comment """it\'s [one line"""\n',
        "_list [1 2 'a]b' [3 4]]\n_other 5\n",
        "_table {'a':1 \"b\":[1 2]\n'c':'''}'''}\n",
        "_publ_text\n;a field [ of text\n;\n",
        "# a remark [\n_word x]y[z\n",
    ],
)
def test_cif_of_the_second_version_is_read(beside: str) -> None:
    found = read(CIF2 + CELL + beside + CUBIC.replace("'", "'''") + UNIT)
    assert found.crystal is not None, found.problem
    assert (found.crystal.formula, found.crystal.num_atoms, found.notes) == ("NaCl", 8, ())


@pytest.mark.parametrize("open_end", ["_list [1 2\n", "_publ_comment '''no end\n"])
def test_what_has_lost_its_end_costs_its_own_block_alone(open_end: str) -> None:
    torn = (CELL + open_end + CUBIC + UNIT).replace("data_x", "data_torn")
    first, second = read_cif_blocks(Text(text=CIF2 + torn + CELL + CUBIC + UNIT))
    assert first.problem is not None
    assert second.crystal is not None and second.crystal.num_atoms == 8


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (CUBIC + LISTED, "at one place"),
        (CUBIC + "_symmetry_Int_Tables_number 221\n" + UNIT, "does not agree"),
        (CUBIC + "_symmetry_Int_Tables_number 1\n" + UNIT, "does not agree"),
        (CUBIC + "_chemical_formula_sum 'Na Cl'\n_cell_formula_units_Z 2\n" + UNIT, "_cell_formula_units_Z"),
        (CUBIC + "_chemical_formula_sum 'K Cl'\n" + UNIT, "_chemical_formula_sum says K Cl"),
        (CUBIC + "_cell_volume 150\n" + UNIT, "_cell_volume says 150"),
        (CUBIC + "_cell_length_b 9\n" + UNIT, "is given twice, with different values"),
        (CUBIC + HEAD, "lists no atoms"),
        (P1 + HEAD + "O1 O 0 0 0\nH1 H ? ? ?\n", "H1 has no position"),
        (P1 + HEAD + "O1 O 0 0 0\nH1 H . 0.1 0.2\n", "H1 has no position"),
        (P1 + HEAD + "O1 O 0 0 0\nF1 F 0 0 0\n", "O1 and F1 are at one place"),
        (P1 + HEAD + "M1 M 0 0 0\n", "'M' is no element"),
        (P1 + HEAD.replace("_atom_site_type_symbol\n", "") + "Wat1 0 0 0\n", "begins with no element"),
        (P1 + HEAD + "_atom_site_occupancy\nO1 O 0 0 0 .6\nF1 F 0 0 0 .6\n", "add up to 1.2"),
        (P1 + HEAD + "_atom_site_occupancy\nO1 O 0 0 0 0\n", "occupancy of 0"),
        ("loop_\n_symmetry_equiv_pos_as_xyz\nx,y,z\nx,y,q\n" + UNIT, "'x,y,q' is no symmetry operation"),
    ],
)
def test_what_contradicts_itself_is_refused(text: str, reason: str) -> None:
    found = read(CELL + text)
    assert found.crystal is None
    assert reason in str(found.problem)
    assert not isinstance(found.problem, DisorderedError)


def test_labels_in_capitals_are_what_the_formula_says() -> None:
    head = HEAD.replace("_atom_site_type_symbol\n", "")
    atoms = f"{head}CA1 0 0 0\nO1 .5 .5 .5\n"
    found = read(f"{CELL}{P1}_chemical_formula_sum 'Ca O'\n{atoms}")
    assert found.crystal is not None
    assert found.crystal.formula == "CaO"
    assert found.notes == ("label CA1 is taken as Ca, which the formula has",)
    found = read(f"{CELL}{P1}_chemical_formula_sum 'C O'\n{atoms}")
    assert found.crystal is not None
    assert found.crystal.formula == "CO"


def test_a_cell_without_the_symmetry_of_its_symbol_is_refused() -> None:
    stretched = CELL.replace("length_c 5.64", "length_c 6.64")
    assert "has not the symmetry" in str(read(f"{stretched}{CUBIC}{UNIT}").problem)
