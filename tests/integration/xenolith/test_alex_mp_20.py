"""The Alex-MP-20 download from a real web server that speaks Git LFS, as an archive of the same layout."""

import csv
import hashlib
import http.server
import io
import json
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from xenolith.cli import main
from xenolith.convert import to_cif
from xenolith.crystal import Crystal
from xenolith.datasets import AlexMp20Source, fetch_alex_mp_20
from xenolith.errors import DataLossError, ReadError, UnavailableError

parquet = pytest.importorskip("pyarrow.parquet")
pytest.importorskip("pymatgen.core")

HEADER = ["material_id", "reduced_formula", "space_group", "chemical_system", "num_sites", "cif"]
HEADER += ["energy_above_hull", "dft_mag_density", "dft_band_gap"]
SALT = Crystal(lattice=np.eye(3) * 3.4, numbers=[11, 17], frac_coords=[[0, 0, 0], [0.5, 0.5, 0.5]])


def table(rows: int, symprec: float | None = None) -> str:
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(HEADER)
    for index in range(rows):
        gap = 2.5 if index == 1 else ""
        writer.writerow(
            [f"agm{index}", "NaCl", "Pm-3m", "Cl-Na", 2, to_cif(SALT, symprec), 0.01 * index, "", gap]
        )
    return out.getvalue()


def archive(tables: dict[str, str]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as files:
        for name, text in tables.items():
            files.writestr(name, text)
    return out.getvalue()


class Lfs(http.server.BaseHTTPRequestHandler):
    """Answers the batch API, and gives the object to those who bring the header that the answer names."""

    content: bytes = b""
    quota = True

    def do_POST(self) -> None:
        assert self.path == "/repo.git/info/lfs/objects/batch"
        assert self.headers["Accept"] == self.headers["Content-Type"] == "application/vnd.git-lfs+json"
        wanted = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert (wanted["operation"], wanted["transfers"]) == ("download", ["basic"])
        (entry,) = wanted["objects"]
        href = f"http://127.0.0.1:{self.server.server_port}/objects/{entry['oid']}"  # type: ignore[attr-defined]
        answer: dict[str, Any] = {**entry, "actions": {"download": {"href": href, "header": {"X-Pass": "1"}}}}
        if not self.quota:
            answer = {**entry, "error": {"code": 507, "message": "the quota is used up"}}
        self._send(json.dumps({"transfer": "basic", "objects": [answer]}).encode())

    def do_GET(self) -> None:
        assert self.headers["X-Pass"] == "1"
        assert self.path == f"/objects/{hashlib.sha256(self.content).hexdigest()}" or self.path.endswith("0")
        self._send(self.content)

    def _send(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def site() -> Iterator[tuple[type[Lfs], AlexMp20Source]]:
    tables = {"alex_mp_20/train.csv": table(3), "alex_mp_20/val.csv": table(2, 0.01), "ref.csv": ""}
    handler = type("Handler", (Lfs,), {"content": archive(tables)})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield (
        handler,
        AlexMp20Source(
            lfs=f"http://127.0.0.1:{server.server_port}/repo.git/info/lfs",
            sha256=hashlib.sha256(handler.content).hexdigest(),
            size=len(handler.content),
        ),
    )
    server.shutdown()
    thread.join()
    server.server_close()


def test_fetches_verifies_and_converts(tmp_path: Path, site: Any) -> None:
    told: list[Any] = []
    path = fetch_alex_mp_20(tmp_path, source=site[1], on_progress=lambda *a: told.append(a))
    rows = parquet.read_table(path).to_pylist()
    assert [row["split"] for row in rows] == ["train"] * 3 + ["val"] * 2
    assert (rows[0]["material_id"], rows[0]["formula"], rows[0]["natoms"]) == ("agm0", "NaCl", 2)
    assert [row["dft_band_gap"] for row in rows] == [None, 2.5, None, None, 2.5]
    assert rows[2]["energy_above_hull"] == pytest.approx(0.02)
    assert rows[0]["dft_mag_density"] is None
    # Listed atom by atom, and with symmetry to be applied: the same crystal.
    for row in rows:
        assert row["lattice"] == pytest.approx([3.4, 3.4, 3.4, 90, 90, 90])
        assert sorted(row["numbers"]) == [11, 17]
    assert ("download", site[1].size, site[1].size) in told
    assert {file.name for file in tmp_path.iterdir()} == {"alex_mp_20.parquet", "alex_mp_20.zip"}


def test_an_archive_that_is_here_already(tmp_path: Path, site: Any) -> None:
    here = tmp_path / "here.zip"
    here.write_bytes(site[0].content)
    nowhere = AlexMp20Source(lfs="http://127.0.0.1:9", sha256=site[1].sha256, size=site[1].size)
    path = fetch_alex_mp_20(tmp_path / "data", source=nowhere, archive=here)
    assert parquet.read_table(path).num_rows == 5
    with pytest.raises(DataLossError, match="Alex-MP-20 has 6688e652"):
        fetch_alex_mp_20(tmp_path / "data", archive=here)
    with pytest.raises(ReadError, match="there is no file"):
        fetch_alex_mp_20(tmp_path / "data", archive=tmp_path / "gone.zip")


def test_a_used_up_quota_is_told(tmp_path: Path, site: Any) -> None:
    site[0].quota = False
    with pytest.raises(UnavailableError, match="does not give the file: the quota is used up"):
        fetch_alex_mp_20(tmp_path, source=site[1])


def test_damage_on_the_way_leaves_nothing_behind(tmp_path: Path, site: Any) -> None:
    source = AlexMp20Source(lfs=site[1].lfs, sha256="0" * 64, size=site[1].size)
    with pytest.raises(DataLossError, match="its source lists 0000"):
        fetch_alex_mp_20(tmp_path, source=source)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_table_names_the_crystal(tmp_path: Path, site: Any) -> None:
    site[0].content = archive(
        {"alex_mp_20/train.csv": table(2).replace("0.01,", "much,"), "alex_mp_20/val.csv": ""}
    )
    digest = hashlib.sha256(site[0].content).hexdigest()
    source = AlexMp20Source(lfs=site[1].lfs, sha256=digest, size=len(site[0].content))
    with pytest.raises(DataLossError, match=r"alex_mp_20/train\.csv, crystal 2"):
        fetch_alex_mp_20(tmp_path, source=source)
    assert [file.name for file in tmp_path.iterdir()] == ["alex_mp_20.zip"]


def test_options_of_another_set_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "fetch", "mp-20", "--archive", "x.zip"]) == 1
    assert "--archive goes with alex-mp-20, not with mp-20" in capsys.readouterr().err
