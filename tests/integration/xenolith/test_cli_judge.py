"""``xenolith judge``: a small real MACE model, from its file to a hull that an oracle finds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.unit.oracle_svc.conftest import mace_checkpoint as small_mace
from xenolith.cli import main

pytest.importorskip("mace", reason="the mace extra is not installed")

mace_checkpoint = small_mace
FCC = [[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Sodium, chlorine and four of their compounds."""
    salt = np.concatenate([FCC, np.array(FCC) + 0.5]).ravel().tolist()
    rows = [
        {"material_id": "Na", "a": 5.3, "numbers": [11] * 4, "frac": np.ravel(FCC).tolist()},
        {"material_id": "Cl", "a": 5.2, "numbers": [17] * 4, "frac": np.ravel(FCC).tolist()},
        *(
            {"material_id": f"salt-{a}", "a": a, "numbers": [11] * 4 + [17] * 4, "frac": salt}
            for a in (5.4, 5.6, 5.8, 6.0)
        ),
    ]
    path = tmp_path / "textbook.parquet"
    columns = [{**row, "lattice": [row.pop("a")] * 3 + [90.0] * 3} for row in rows]
    pq.write_table(pa.Table.from_pylist(columns), path)
    return path


@pytest.fixture
def model(mace_checkpoint: Path, tmp_path: Path) -> str:
    from oracle_svc.calculators.mace.convert import main as convert

    folder = tmp_path / "mace"
    assert convert([str(mace_checkpoint), str(folder), "--trust"]) == 0
    return json.dumps({"path": str(folder), "dtype": "float64"})


def judge(table: Path, model: str, out: Path, *more: str) -> dict[str, Any]:
    told = out.with_suffix(".json")
    arguments = ["judge", "mace", str(table), "--calculator-settings", model, "--out", str(out)]
    assert main([*arguments, "--workers", "1", "--json", str(told), *more]) == 0
    found: dict[str, Any] = json.loads(told.read_text())
    return found


def test_a_hull_is_built_once_and_a_second_call_goes_on_from_what_is_done(
    table: Path, model: str, tmp_path: Path
) -> None:
    out = tmp_path / "hull"
    estimated = judge(table, model, out, "--estimate")
    assert (estimated["structures"], estimated["left"]) == (6, 6) and not out.exists()
    built = judge(table, model, out)
    assert built["hull"]["elements"] == [11, 17] and built["hull"]["id"].startswith(built["calculator"])
    again = judge(table, model, out)
    assert again["left"] == 0 and again["hull"] == built["hull"]


def test_a_rehearsal_takes_the_simplest_structures(table: Path, model: str, tmp_path: Path) -> None:
    built = judge(table, model, tmp_path / "hull", "--rehearse", "3")
    assert built["structures"] == 3 and built["hull"]["elements"] == [11, 17]


def test_a_hull_that_no_name_would_find_needs_a_place(
    table: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["judge", "mace", str(table), "--calculator-settings", model]) == 1
    assert "--out is needed" in capsys.readouterr().err
