from collections import Counter
from pathlib import Path

import pytest

from xenolith.elements import ELECTRONEGATIVITY, SYMBOLS, atomic_number
from xenolith.formula import parse_formula, reduced_formula


@pytest.mark.parametrize(
    ("numbers", "formula"),
    [
        ([38, 22, 8, 8, 8], "SrTiO3"),
        ([3, 3, 26, 26, 15, 15] + [8] * 8, "LiFePO4"),
        ([12] * 3 + [15] * 2 + [8] * 8, "Mg3(PO4)2"),
        ([8] * 6, "O2"),
        ([3, 3, 8, 8], "Li2O2"),
        ([54, 9, 9], "XeF2"),
        ([2, 11, 11], "Na2He"),
        ([], ""),
        ([0, 1], ""),
        ([119], ""),
    ],
)
def test_known_formulas(numbers: list[int], formula: str) -> None:
    assert reduced_formula(numbers) == formula


@pytest.mark.filterwarnings("ignore:No Pauling")
def test_tables_agree_with_pymatgen() -> None:
    core = pytest.importorskip("pymatgen.core")
    for number in range(1, 119):
        element = core.Element.from_Z(number)
        assert SYMBOLS[number] == element.symbol
        assert atomic_number(element.symbol) == number
        expected = element.X
        assert ELECTRONEGATIVITY[number] == expected or expected != expected  # NaN


def test_agrees_with_pymatgen_on_real_crystals(data_dir: Path) -> None:
    core = pytest.importorskip("pymatgen.core")
    parquet = pytest.importorskip("pyarrow.parquet")
    column = parquet.read_table(data_dir / "mp20.parquet", columns=["numbers"])["numbers"]
    for numbers in column.to_pylist()[::40]:
        counts = {SYMBOLS[number]: count for number, count in Counter(numbers).items()}
        assert reduced_formula(numbers) == core.Composition(counts).reduced_formula


def test_formulas_are_read_back_as_amounts() -> None:
    assert parse_formula("SrTiO3") == {"Sr": 1.0, "Ti": 1.0, "O": 3.0}
    assert parse_formula("CH3CH3") == {"C": 2.0, "H": 6.0}
    assert parse_formula("Ca(H2(OH)3)2") == {"Ca": 1.0, "H": 10.0, "O": 6.0}
    assert parse_formula("Li0.5CoO2") == {"Li": 0.5, "Co": 1.0, "O": 2.0}


@pytest.mark.parametrize("text", ["", "Sr(TiO3", "SrTiO3)", "srTiO3", "3", "Sr TiO3", "Na."])
def test_what_is_no_formula_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no formula"):
        parse_formula(text)
