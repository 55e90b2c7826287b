"""The MP-20 download against a real web server that holds the same kind of files."""

import csv
import functools
import http.server
import io
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from xenolith.convert import read_cif, to_cif, to_pymatgen
from xenolith.crystal import Crystal
from xenolith.datasets import Mp20Source, fetch_mp20
from xenolith.datasets.download import git_blob_id
from xenolith.errors import DataLossError, UnavailableError

parquet = pytest.importorskip("pyarrow.parquet")
pytest.importorskip("pymatgen.core")

HEADER = (
    ",material_id,formation_energy_per_atom,band_gap,pretty_formula,e_above_hull,elements,cif,"
    "spacegroup.number"
)


def crystal(offset: float) -> Crystal:
    lattice = [[3.9, 0.1, 0], [0.2, 4.0 + offset, 0], [0, 0.3, 4.1]]
    return Crystal(
        lattice=lattice, numbers=[3, 3, 8], frac_coords=[[0, 0, 0], [0.5, 0.5, offset], [0.25, 0.5, 0.75]]
    )


def table(rows: int) -> str:
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(HEADER.split(","))
    for index in range(rows):
        gap = "" if index == 1 else 0.5
        cif = to_cif(crystal(0.1 * index))
        writer.writerow([index, f"mp-{index}", -1.25, gap, "Li2O", 0.01, "['Li', 'O']", cif, 1])
    return out.getvalue()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[Path, Mp20Source]]:
    folder = tmp_path / "site"
    folder.mkdir()
    for split, rows in SPLITS.items():
        (folder / f"{split}.csv").write_text(table(rows), newline="")
    list_files(folder)
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder))
    )
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    base = f"http://127.0.0.1:{server.server_port}"
    yield folder, Mp20Source(listing=f"{base}/listing.json", files=base)
    server.shutdown()
    thread.join()
    server.server_close()


SPLITS = {"train": 3, "val": 1, "test": 2}


def list_files(folder: Path) -> None:
    listing = [
        {"name": path.name, "sha": git_blob_id(path), "size": path.stat().st_size}
        for path in folder.glob("*.csv")
    ]
    (folder / "listing.json").write_text(json.dumps(listing))


def test_fetches_verifies_and_converts(tmp_path: Path, site: Any) -> None:
    told: list[Any] = []
    path = fetch_mp20(tmp_path / "data", source=site[1], splits=SPLITS, on_progress=lambda *a: told.append(a))
    rows = parquet.read_table(path).to_pylist()
    assert [row["split"] for row in rows] == ["train"] * 3 + ["val"] + ["test"] * 2
    expected = to_pymatgen(crystal(0.1)).lattice
    assert rows[1]["lattice"] == pytest.approx([*expected.abc, *expected.angles])
    assert (rows[1]["formula"], rows[1]["natoms"], rows[1]["numbers"]) == ("Li2O", 3, [3, 3, 8])
    assert rows[1]["frac"] == pytest.approx([0, 0, 0, 0.5, 0.5, 0.1, 0.25, 0.5, 0.75])
    assert (rows[0]["band_gap"], rows[1]["band_gap"], rows[0]["e_above_hull"]) == (0.5, None, 0.01)
    size = sum((site[0] / f"{split}.csv").stat().st_size for split in SPLITS)
    assert ("download", size, size) in told
    assert told[-1] == ("reading", 6, 6)


def test_the_fast_reader_agrees_with_pymatgen(tmp_path: Path, site: Any) -> None:
    path = fetch_mp20(tmp_path / "data", source=site[1], splits=SPLITS)
    row = parquet.read_table(path).to_pylist()[2]
    (tmp_path / "one.cif").write_text(to_cif(crystal(0.2)))
    (known,) = read_cif(tmp_path / "one.cif")
    assert row["numbers"] == known.numbers.tolist()
    assert row["frac"] == pytest.approx(known.frac_coords.ravel().tolist())


def test_what_is_there_is_not_fetched_again(tmp_path: Path, site: Any) -> None:
    first = fetch_mp20(tmp_path / "data", source=site[1], splits=SPLITS)
    for split in SPLITS:
        (site[0] / f"{split}.csv").unlink()
    assert fetch_mp20(tmp_path / "data", source=site[1], splits=SPLITS) == first


def test_damage_on_the_way_leaves_nothing_behind(tmp_path: Path, site: Any) -> None:
    (site[0] / "val.csv").write_text("something else")
    with pytest.raises(DataLossError, match=r"val\.csv arrived with id"):
        fetch_mp20(tmp_path / "data", source=site[1], splits=SPLITS)
    assert [path.name for path in (tmp_path / "data" / "mp_20").iterdir()] == ["train.csv"]
    assert not (tmp_path / "data" / "mp20.parquet").exists()


def test_a_set_cut_short_is_refused(tmp_path: Path, site: Any) -> None:
    with pytest.raises(DataLossError, match="holds 3 crystals, expected 4"):
        fetch_mp20(tmp_path / "data", source=site[1], splits={**SPLITS, "train": 4})


def test_symmetry_in_a_file_is_refused(tmp_path: Path, site: Any) -> None:
    text = (
        (site[0] / "val.csv")
        .read_text()
        .replace("_symmetry_Int_Tables_number   1", "_symmetry_Int_Tables_number   2")
    )
    (site[0] / "val.csv").write_text(text, newline="")
    list_files(site[0])
    with pytest.raises(DataLossError, match="not listed atom by atom"):
        fetch_mp20(tmp_path / "data", source=site[1], splits=SPLITS)


def test_an_unreachable_source_says_so(tmp_path: Path) -> None:
    source = Mp20Source(listing="http://127.0.0.1:9/listing.json", files="http://127.0.0.1:9")
    with pytest.raises(UnavailableError, match="cannot be fetched"):
        fetch_mp20(tmp_path, source=source)
