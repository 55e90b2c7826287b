"""Scores as tables and as a page."""

import json
import xml.etree.ElementTree as ET

import pandas as pd
import pytest

from xenolith.analysis import table_rows, write_page, write_table
from xenolith.analysis.page import shares
from xenolith.client.results import Audit, Provenance, Relaxation, Score, Scores
from xenolith.errors import InvalidArgumentError

GOOD = Score(
    source="a.cif",
    formula="NaCl",
    valid=True,
    energy_per_atom=-3.4,
    e_above_hull=0.02,
    unique=True,
    novel=True,
    amd_distance=1.5,
    properties={"band_gap": 5.1},
    audits=(Audit(calculator_id="second", status="OK", e_above_hull=0.05),),
    relaxation=Relaxation(status="OK", e_above_hull=0.0),
)
KNOWN = Score(source="b.cif", formula="Si", valid=True, e_above_hull=0.0, unique=True, novel=False)
BROKEN = Score(source="<c>.cif", status="TOO_CLOSE", message="atoms <0.5 A apart", valid=False)
SCORES = Scores(scores=(GOOD, KNOWN, BROKEN), provenance=Provenance(calculator_id="chgnet"))


def test_rows_are_flat_and_alike():
    rows = table_rows(SCORES)
    assert len({tuple(row) for row in rows}) == 1
    assert rows[0]["relaxation.e_above_hull"] == 0.0
    assert rows[0]["audits.second.e_above_hull"] == 0.05
    assert rows[0]["properties.band_gap"] == 5.1
    assert rows[2]["properties.band_gap"] is None


@pytest.mark.parametrize(("suffix", "read"), [("csv", pd.read_csv), ("parquet", pd.read_parquet)])
def test_tables_are_read_back(tmp_path, suffix, read):
    path = tmp_path / f"scores.{suffix}"
    write_table(path, SCORES.scores)
    frame = read(path)
    assert frame["source"].tolist() == ["a.cif", "b.cif", "<c>.cif"]
    assert frame["e_above_hull"][0] == 0.02
    assert pd.isna(frame["e_above_hull"][2])


def test_json_keeps_what_is_nested(tmp_path):
    write_table(tmp_path / "scores.json", SCORES.scores)
    assert json.loads((tmp_path / "scores.json").read_text())[0]["audits"][0]["calculator_id"] == "second"


def test_an_unknown_suffix_is_refused_with_the_known_ones(tmp_path):
    with pytest.raises(InvalidArgumentError, match=r"\.parquet"):
        write_table(tmp_path / "scores.xls", SCORES.scores)
    assert not list(tmp_path.iterdir())


def test_shares_are_of_everything_given():
    assert shares(SCORES) == {
        "valid": (2, 3),
        "unique": (2, 3),
        "novel": (1, 3),
        "metastable": (2, 3),
        "stable": (1, 3),
        "mSUN": (1, 3),
    }
    assert "mSUN" not in shares([BROKEN])


def test_a_page_shows_everyone_and_escapes_names(tmp_path):
    write_page(tmp_path / "page.html", SCORES, "Scores of <folder>")
    text = (tmp_path / "page.html").read_text()
    assert text.count("<svg") == 3
    assert "Scores of &lt;folder&gt;" in text
    assert "&lt;c&gt;.cif" in text
    assert "http" not in text.replace("http://www.w3.org", "").replace("http://purl.org", "").replace(
        "http://creativecommons.org", ""
    ).replace("https://matplotlib.org", "")
    body = text[text.index("<tbody>") : text.index("</tbody>") + 8]
    assert [row[0].text for row in ET.fromstring(body)] == ["b.cif", "a.cif", "<c>.cif"]  # noqa: S314
